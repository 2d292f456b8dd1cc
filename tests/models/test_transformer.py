"""The Transformer: the numbers of torch's and of Marian."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import marian, parity, torch_transformer
from _helpers.sentences import INPUTS, TOKENS, VOCAB

from vitlab.errors import UserError
from vitlab.layers.norms import make_norm
from vitlab.models import transformer
from vitlab.ops import search
from vitlab.ops.positions import sincos_1d
from vitlab.pretrained import import_tensors

WIDTH, DEPTH, HEADS = 16, 2, 2
SIZES = dict(nhead=HEADS, num_encoder_layers=DEPTH, num_decoder_layers=DEPTH, dim_feedforward=32)


def make(dtype='float32', **words):
  return transformer.make(VOCAB, 'mu', **dict(dropout_rate=0.0, dtype=dtype, **words))


def ours(model, params, weights):
  """Logits, and the gradient of their product with the weights."""

  def run(params):
    logits, _ = model.apply({'params': params}, TOKENS, INPUTS)
    return (logits * weights).sum(), logits

  params = jax.tree.map(jnp.asarray, params)
  (_, logits), gradients = jax.jit(jax.value_and_grad(run, has_aux=True))(params)
  return logits, gradients


def sentences():
  return [torch.tensor(np.array(x)).long() for x in (TOKENS, INPUTS)]


@pytest.mark.filterwarnings('ignore:enable_nested_tensor')
@pytest.mark.parametrize('norm_place', ['post', 'pre'])
def test_equals_the_one_of_torch(norm_place, x64):
  position = np.asarray(sincos_1d(jnp.arange(5), WIDTH, True, jnp.float64))
  options = dict(SIZES, norm_first=norm_place == 'pre')
  # In training mode: torch's fast path of evaluation computes something else where padded.
  oracle = parity.perturb(torch_transformer.WithEmbeddings(VOCAB, position, **options)).train()
  expected = oracle(*sentences())
  weights = parity.projection(expected.shape)
  (expected * torch.tensor(weights)).sum().backward()
  model = make(
    'float64',
    norm_place=norm_place,
    norm_epsilon=1e-5,
    position_embedding='sincos_interleaved',
  )
  model = model.clone(norm=make_norm('layernorm', 1e-5, jnp.float64))  # torch always has it
  tree = partial(torch_transformer.of_torch, depth=DEPTH, heads=HEADS)
  logits, gradients = ours(model, tree(torch_transformer.tensors(oracle)), weights)
  assert parity.error(logits, expected.detach().numpy()) < 1e-11
  assert parity.error(gradients, tree(torch_transformer.tensors(oracle, gradients=True))) < 1e-10


def of_marian():
  """A perturbed one with our numbers of tokens."""
  torch.manual_seed(1)  # so that some sentences end before their limit
  oracle = marian.make(
    vocab_size=VOCAB,
    pad_token_id=0,
    eos_token_id=2,
    decoder_start_token_id=1,
    forced_eos_token_id=None,
    activation_function='relu',
  )
  return marian.exact(parity.perturb(oracle))


def from_marian(tensors):
  """Our parameters, or their gradients."""
  like = jax.eval_shape(make().init, jax.random.key(0), TOKENS, INPUTS)
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), like)
  tree = import_tensors(tensors, like, 'transformer', 'huggingface')
  return jax.tree.map(jnp.asarray, tree['params'])


def test_equals_marian(x64):
  oracle = of_marian()
  tokens, inputs = sentences()
  expected = oracle(
    input_ids=tokens, attention_mask=(tokens != 0).long(), decoder_input_ids=inputs
  ).logits
  weights = parity.projection(expected.shape)
  (expected * torch.tensor(weights)).sum().backward()
  params = from_marian(torch_transformer.tensors(oracle))
  logits, gradients = ours(make('float64', norm_epsilon=1e-5), params, weights)
  assert parity.error(logits, expected.detach().numpy()) < 1e-11
  expected = from_marian(torch_transformer.tensors(oracle, gradients=True))
  for found in (gradients, expected):  # torch keeps from the embedding of padding what was read
    found['source']['embedding'] = found['source']['embedding'][1:]
  assert parity.error(gradients, expected) < 1e-10


@pytest.mark.parametrize(
  'length_penalty, early_stopping, forced_eos',
  [
    (0.0, 'never', False),
    (0.3, 'never', True),
    (1.0, 'never', False),
    (0.3, False, False),
    (1.0, False, True),
    (0.3, True, True),
    (1.0, True, False),
  ],
)
def test_beams_are_those_of_marian(length_penalty, early_stopping, forced_eos, x64):
  """All four sentences and their scores, as Hugging Face's `generate` finds them."""
  oracle = of_marian()
  tokens, _ = sentences()
  expected = oracle.generate(
    tokens,
    attention_mask=(tokens != 0).long(),
    num_beams=4,
    num_return_sequences=4,
    length_penalty=length_penalty,
    early_stopping=early_stopping,
    forced_eos_token_id=2 if forced_eos else None,
    max_length=13,
    suppress_tokens=[0, 1],
    return_dict_in_generate=True,
    output_scores=True,
  )
  model = make('float64', norm_epsilon=1e-5)
  variables = {'params': from_marian(torch_transformer.tensors(oracle))}

  @jax.jit
  def find():
    memory = model.apply(variables, TOKENS, method='encode')
    memory, start = model.apply(variables, memory, 12, method='start')
    memory = memory.take(jnp.repeat(jnp.arange(3), 4))

    def step(state, token):
      return model.apply(variables, memory, state, token, method='step')

    take = lambda state, rows: state.take(rows)  # noqa: E731
    options = dict(beams=4, length_penalty=length_penalty, gnmt=False, forced_eos=forced_eos)
    options |= dict(early_stopping=str(early_stopping).lower())
    return search.beam(step, take, start, jnp.full(3, 12), 12, **options)

  said, score = find()
  theirs = expected.sequences.numpy()[:, 1:]  # without the token that starts them
  theirs = np.pad(theirs, [(0, 0), (0, 12 - theirs.shape[1])]).reshape(3, 4, 12)
  before = np.cumsum(theirs == 2, axis=-1) - (theirs == 2)  # after an end they say it again
  np.testing.assert_array_equal(said, np.where(before == 0, theirs, 0))
  np.testing.assert_allclose(score.reshape(-1), expected.sequences_scores, rtol=1e-5)
  assert np.any(before) == (length_penalty < 1)


def test_the_decoder_shows_its_attention_to_itself():
  _, out = jax.eval_shape(make().init_with_output, jax.random.key(0), TOKENS, INPUTS)[0]
  assert [w.shape for w in out['attention']] == [(3, HEADS, 4, 4)] * DEPTH


@pytest.mark.filterwarnings('ignore:enable_nested_tensor')
@pytest.mark.parametrize('variant, millions', [('base', 44.1), ('big', 176.4)])
def test_counts_are_those_of_torch(variant, millions):
  """Without embeddings, with which the paper has 65 and 213 million."""
  width, depth, heads, mlp_dim = transformer.VARIANTS[variant]
  with torch.device('meta'):
    oracle = torch.nn.Transformer(width, heads, depth, depth, mlp_dim)
  model = transformer.make(VOCAB, variant, norm_place='pre')
  tree = jax.eval_shape(model.init, jax.random.key(0), TOKENS, INPUTS)['params']
  count = sum(x.size for x in jax.tree.leaves(tree))
  expected = sum(p.numel() for p in oracle.parameters())
  assert count - VOCAB * width == expected
  assert round(expected / 1e6, 1) == millions


@pytest.mark.parametrize(
  'words, says',
  [
    (dict(variant='bsae'), 'did you mean base'),
    (dict(norm_place='branch'), 'pre'),
    (dict(position_embedding='rope'), 'sincos'),
    (dict(num_heads=3), 'does not divide into 3 heads'),
    (dict(remat='all'), 'dots_saveable'),
  ],
)
def test_bad_words_are_refused(words, says):
  with pytest.raises(UserError, match=says):
    transformer.make(VOCAB, **words)


def test_a_sentence_longer_than_what_is_learned_is_refused():
  model = make(position_embedding='learned', max_length=4)
  with pytest.raises(UserError, match='raise model.max_length'):
    jax.eval_shape(model.init, jax.random.key(0), TOKENS, INPUTS)
  variables = jax.eval_shape(model.init, jax.random.key(0), TOKENS[:, :4], INPUTS)
  memory = jax.eval_shape(partial(model.apply, method='encode'), variables, TOKENS[:, :4])
  with pytest.raises(UserError, match='sentences of 9 may come'):
    jax.eval_shape(lambda v, m: model.apply(v, m, 9, method='start'), variables, memory)
