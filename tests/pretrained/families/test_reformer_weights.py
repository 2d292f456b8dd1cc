"""Reformers come in and go out: their numbers, and each thing that is easy to get wrong."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity, reformers
from _helpers.gpts import error
from _helpers.hf_folders import changed
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM
from transformers.models.reformer.modeling_reformer import LSHSelfAttention

from vitlab import pretrained, registry
from vitlab.errors import UserError
from vitlab.layers import lsh_attention
from vitlab.layers.reversible import ReversibleStack
from vitlab.ops import lsh

# What differs from the model of all others.
CASES = {
  'two rounds': dict(),
  'four rounds': dict(num_hashes=4, attn_layers=['lsh', 'local', 'lsh', 'lsh']),
  'two factors': dict(num_buckets=[2, 4], num_hashes=4, attn_layers=['lsh']),
  'other chunks': dict(lsh_attn_chunk_length=8, local_attn_chunk_length=4, hidden_act='gelu'),
  'a position each': dict(axial_pos_embds=False, attn_layers=['local', 'lsh']),
}


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """case -> the oracle and the folder that it wrote."""
  found = {}
  for case, words in CASES.items():
    oracle, folder = reformers.make(**words), tmp_path_factory.mktemp('reformer')
    oracle.save_pretrained(folder)
    found[case] = oracle, folder
  return found


@pytest.mark.parametrize('case', CASES)
def test_logits_and_gradients_of_all_parameters_are_theirs(case, saved, x64):
  oracle, folder = saved[case]
  weights = pretrained.read(str(folder))
  model, variables = reformers.in_double(weights)
  rotations = reformers.rotations(oracle)
  expected = reformers.logits(oracle)
  assert error(reformers.ours(model, variables, rotations), expected) < 1e-10
  projection = parity.projection(expected.shape)
  found = reformers.gradients(model, variables, rotations, projection)
  theirs = reformers.oracle_gradients(oracle, projection)
  theirs['lm_head.bias'] = theirs.get('lm_head.bias', theirs.pop('lm_head.decoder.bias', None))
  like, known = jax.eval_shape(lambda: variables), dict(spec=weights.about.spec)
  wanted = pretrained.import_tensors(theirs, like, 'reformer', 'huggingface', **known)
  assert error(found, wanted) < 1e-9
  assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted)) > 0


@pytest.mark.parametrize('length', [3, 8, 9, 27])
def test_any_length_is_padded_as_theirs(length, saved, x64):
  """One chunk or less has full attention, another length is filled up, with nothing to be seen."""
  oracle, folder = saved['other chunks']
  model, variables = reformers.in_double(pretrained.read(str(folder)))
  tokens = reformers.TOKENS[:, :length]
  found = reformers.ours(model, variables, reformers.rotations(oracle), tokens)
  assert error(found, reformers.logits(oracle, tokens)) < 1e-10


@pytest.mark.parametrize('case', ['four rounds', 'a position each'])
def test_what_goes_out_computes_the_same_and_comes_back_bit_for_bit(case, saved, tmp_path, x64):
  oracle, folder = saved[case]
  weights = pretrained.read(str(folder))
  _, variables = reformers.in_double(weights)
  pretrained.write(tmp_path, variables, weights.about, 'huggingface')
  theirs, info = AutoModelForCausalLM.from_pretrained(
    tmp_path, local_files_only=True, dtype=torch.float64, output_loading_info=True, hash_seed=7
  )
  assert not any(info.values()) and type(theirs) is type(oracle)
  # Whatever the dtype, they load axial positions in float32.
  limit = 1e-12 if case == 'a position each' else 1e-6
  assert error(reformers.logits(theirs.eval()), reformers.logits(oracle)) < limit
  again = pretrained.read(str(tmp_path))
  assert again.about == weights.about
  assert parity.error(again.load(jax.eval_shape(lambda: variables)), variables) == 0


def test_the_bias_of_the_head_is_read_under_either_name(saved, tmp_path, x64):
  oracle, folder = saved['two rounds']
  weights = pretrained.read(str(folder))
  _, variables = reformers.in_double(weights)
  bias = np.asarray(variables['params']['head']['bias'])
  np.testing.assert_array_equal(bias, oracle.lm_head.bias.detach().numpy())
  assert np.abs(bias).max() > 0.1
  tensors = load_file(folder / 'model.safetensors')
  (name,) = {'lm_head.bias', 'lm_head.decoder.bias'} & tensors.keys()
  for other in ('lm_head.bias', 'lm_head.decoder.bias'):
    given = {**tensors, other: tensors[name].copy()}
    if other != name:
      del given[name]
    path = changed(folder, tmp_path / other, given)
    like = jax.eval_shape(lambda: variables)
    assert parity.error(pretrained.read(path).load(like), variables) == 0


def mistaken(monkeypatch, model, belief):
  """The model of somebody who believes something else."""
  if belief == 'keys without epsilon':
    monkeypatch.setattr(lsh, 'unit', lambda x, epsilon: UNIT(x, 0.0))
  if belief == 'keys of the length of queries':
    monkeypatch.setattr(lsh, 'unit', lambda x, epsilon: x * x.shape[-1] ** -0.5)
  if belief == 'both switches of the paper':
    blocks = [
      block.clone(attention=block.attention.clone(same_bucket=True, count_once=True))
      if hasattr(block.attention, 'num_hashes')
      else block
      for block in model.decoder.blocks
    ]
    return model.clone(decoder=model.decoder.clone(blocks=blocks))
  if belief == 'buckets of another number':
    monkeypatch.setattr(
      lsh_attention, 'hashed', lambda x, r, s, g: lsh.hashed(x, r[..., :1], (2,), g)
    )
  if belief == 'halves the other way round':
    call = ReversibleStack.__call__

    def swapped(*args, **kwargs):
      y, seen = call(*args, **kwargs)
      return jnp.roll(y, y.shape[-1] // 2, axis=-1), seen

    monkeypatch.setattr(ReversibleStack, '__call__', swapped)
  if belief == 'epsilon of torch':
    norm = model.norm.clone(epsilon=1e-5)
    return model.clone(norm=norm)
  return model


UNIT = lsh.unit


@pytest.mark.parametrize(
  'belief',
  [
    'keys without epsilon',
    'keys of the length of queries',
    'both switches of the paper',
    'buckets of another number',
    'halves the other way round',
    'epsilon of torch',
  ],
)
def test_what_is_easy_to_get_wrong_is_seen(belief, saved, monkeypatch, x64):
  oracle, folder = saved['two rounds']
  model, variables = reformers.in_double(pretrained.read(str(folder)))
  model = mistaken(monkeypatch, model, belief)
  found = reformers.ours(model, variables, reformers.rotations(oracle))
  assert error(found, reformers.logits(oracle)) > 1e-8


def test_a_file_says_everything(saved):
  spec = pretrained.read(str(saved['four rounds'][1])).about.spec
  wanted = dict(name='reformer', variant='tiny', vocab_size=17, context=32, width=12, depth=4)
  wanted |= dict(num_heads=2, head_dim=8, mlp_dim=20, num_hashes=4, num_buckets=4, lsh_chunk=4)
  wanted |= dict(local_chunk=4, norm_epsilon=1e-12, axial_shape=[4, 8], axial_widths=[4, 8])
  assert spec == wanted | dict(mlp='relu', attn_layers=['lsh', 'local', 'lsh'])
  turns = pretrained.read(str(saved['two factors'][1])).about.spec
  assert (turns['attn_layers'], turns['depth'], turns['num_buckets']) == (['lsh'], 1, [2, 4])


REFUSED = {
  'decoder': (dict(is_decoder=False), 'is_decoder=False'),
  'chunks': (dict(lsh_num_chunks_after=1), 'lsh_num_chunks_after=1'),
  'before': (dict(local_num_chunks_before=2), 'local_num_chunks_before=2'),
  'tied': (dict(tie_word_embeddings=True), 'tie_word_embeddings=True'),
  'activation': (dict(hidden_act='selu'), "hidden_act of Hugging Face 'selu'"),
  'kind': (dict(attn_layers=['lsh', 3]), 'attn_layers'),
  'number': (dict(num_hashes=0), 'num_hashes=0: it is to be a whole number above 0'),
  'unknown': (dict(rotary=True), 'rotary=True .not known here'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_our_model_does_not_compute_is_refused(case, saved, tmp_path):
  words, message = REFUSED[case]
  with pytest.raises(UserError, match=message):
    pretrained.read(changed(saved['two rounds'][1], tmp_path, **words))


UNSAID = dict(same_bucket=True, count_once=True, attn_layers=['full'], causal=False, mlp='swiglu')


@pytest.mark.parametrize('word', UNSAID)
def test_what_they_cannot_compute_is_not_written(word, tmp_path):
  about = pretrained.About(dict(name='reformer', vocab_size=17) | {word: UNSAID[word]}, None)
  with pytest.raises(UserError, match=f'Reformer of Hugging Face has no such model.*this {word}'):
    pretrained.write(tmp_path, {'params': {}}, about, 'huggingface')


def test_the_number_of_buckets_follows_the_length_as_theirs():
  for length, chunk, longest in ((64, 4, 64), (16, 4, 64), (1024, 64, 1024), (24, 4, 24)):
    words = dict(lsh_attn_chunk_length=chunk, max_position_embeddings=longest, num_buckets=None)
    layer = LSHSelfAttention(reformers.make(**words).config)
    layer._set_num_buckets(length)
    theirs = layer.num_buckets
    theirs = (theirs,) if isinstance(theirs, int) else tuple(theirs)
    assert lsh.default_buckets(length, chunk, longest) == theirs


def test_the_model_is_found_by_its_files_and_predicts(saved, tmp_path):
  weights = pretrained.read(str(saved['two rounds'][1]))
  model = registry.make('models', weights.about.spec)
  like = jax.eval_shape(model.init, jax.random.key(0), reformers.TOKENS)
  logits, out = jax.jit(model.apply)(weights.load(like), reformers.TOKENS)
  assert logits.shape == (2, 32, 17) and len(out['attention']) == 3
