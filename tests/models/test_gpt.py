"""GPT: sizes of the papers, documents in one row, and tokens read one by one."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.models import gpt, transformer

VOCAB = 11
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, 9), dtype=np.int32)
MODERN = dict(
  position_embedding='rope', norm='rmsnorm', mlp='swiglu', qk_norm=True, tied=False, num_heads=4
)
WORDS = {
  'learned': dict(),
  'sincos': dict(position_embedding='sincos', norm_place='post', scan=True),
  'modern': MODERN | dict(num_kv_heads=2),
}


def make(**words):
  return gpt.make(VOCAB, **dict(variant='mu', context=12, dropout_rate=0.0) | words)


def variables_of(model, seed=0):
  """All parameters off their initial values."""
  variables = jax.jit(model.init)(jax.random.key(seed), TOKENS)
  random = np.random.default_rng(seed)
  return jax.tree.map(lambda x: x + random.normal(0, 0.3, x.shape).astype(np.float32), variables)


def close(found, wanted, atol=2e-5):
  np.testing.assert_allclose(found, wanted, atol=atol, rtol=2e-5)


# vocab_size, context and all parameters of the published weights.
COUNTS = {
  'gpt': (40478, 512, 116_534_784),
  'small': (50257, 1024, 124_439_808),
  'medium': (50257, 1024, 354_823_168),
  'large': (50257, 1024, 774_030_080),
  'xl': (50257, 1024, 1_557_611_200),
}


@pytest.mark.parametrize('variant', COUNTS)
def test_there_are_as_many_parameters_as_published(variant):
  vocab, context, count = COUNTS[variant]
  model = gpt.make(vocab, variant, context=context, scan=True)
  tree = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  assert sum(x.size for x in jax.tree.leaves(tree)) == count


@pytest.mark.parametrize('name', WORDS)
def test_a_prompt_and_then_one_by_one_is_all_at_once(name):
  model = make(**WORDS[name])
  variables = variables_of(model)
  wanted, out = jax.jit(model.apply)(variables, TOKENS)
  assert [w.shape[0] for w in out['attention']] == [2, 2]
  step = jax.jit(partial(model.apply, method='step'))
  state, found = model.apply(variables, 2, 12, method='start'), []
  for tokens in (TOKENS[:, :6], *TOKENS[:, 6:, None].swapaxes(0, 1)):
    logits, state = step(variables, state, jnp.asarray(tokens))
    found.append(logits)
  close(np.concatenate(found, axis=1), wanted)
  assert int(state.length) == 9 and state.past[0][0].shape[1] == WORDS[name].get('num_kv_heads', 2)
  # Any rows of what was read go on as these rows do.
  again, _ = step(variables, state.take(jnp.array([1, 1])), jnp.array([[3], [3]]))
  ahead, _ = step(variables, state, jnp.array([[5], [3]]))
  close(again[0], ahead[1])


@pytest.mark.parametrize('name', WORDS)
def test_documents_in_one_row_say_what_each_says_alone(name):
  """And padding behind them changes nothing."""
  model = make(**WORDS[name])
  variables = variables_of(model)
  apply = jax.jit(model.apply)
  segments = jnp.array([[1, 1, 1, 1, 2, 2, 2, 0, 0], [1, 2, 2, 2, 2, 2, 2, 2, 3]])
  packed, _ = apply(variables, TOKENS, segments=segments)
  for row, first, last in ((0, 0, 4), (0, 4, 7), (1, 0, 1), (1, 1, 8), (1, 8, 9)):
    alone = np.zeros_like(TOKENS)
    alone[0, : last - first] = TOKENS[row, first:last]
    close(packed[row, first:last], apply(variables, alone)[0][0, : last - first])
  one = jnp.ones_like(segments)
  close(apply(variables, TOKENS, segments=one)[0], apply(variables, TOKENS)[0])


def test_weights_of_attention_are_dropped_in_training_alone():
  model = make(attention_dropout_rate=0.5)
  variables = variables_of(model)
  apply = jax.jit(model.apply, static_argnames='train')
  still = apply(variables, TOKENS)[0]
  one, other = (
    apply(variables, TOKENS, train=True, rngs={'dropout': jax.random.key(i)})[0] for i in range(2)
  )
  assert np.abs(one - other).max() > 1e-3
  # The first token sees itself alone: its weight is 0 or twice what it was, in both heads.
  assert np.abs(one - still)[:, 0].max() > 1e-3
  np.testing.assert_array_equal(still, jax.jit(make().apply)(variables, TOKENS)[0])


def test_no_token_sees_what_follows_it():
  model = make(**WORDS['modern'])
  variables, other = variables_of(model), TOKENS.copy()
  other[:, 5:] = (other[:, 5:] + 1) % VOCAB
  first, second = (jax.jit(model.apply)(variables, tokens)[0] for tokens in (TOKENS, other))
  np.testing.assert_array_equal(first[:, :5], second[:, :5])
  assert np.abs(first[:, 5:] - second[:, 5:]).max() > 1e-2


def test_with_rotary_positions_places_count_from_anywhere():
  """Queries and keys turn together: only how far they are apart is seen."""
  model = make(position_embedding='rope')
  variables = variables_of(model)
  later = jax.jit(partial(model.apply, method=_from_place))(variables, TOKENS, 7)
  close(later, jax.jit(model.apply)(variables, TOKENS)[0])


def _from_place(model, tokens, first):
  """The logits of tokens of which the first stands at another place than 0."""
  x = model._embed(tokens, first, None)
  x, _ = model.decoder(x, **model._angles(x, first, None))
  return model._show(x)[1]


def test_as_many_groups_as_heads_is_every_head_by_itself():
  """Repeated keys and values of groups are those of a model without."""
  grouped, plain = make(**MODERN, num_kv_heads=2), make(**MODERN)
  variables = variables_of(grouped)
  params = jax.tree.map(jnp.asarray, variables['params'])
  for i in range(2):
    attention = params['decoder'][f'block_{i}']['attention']
    q, kv = attention.pop('q'), attention.pop('kv')
    attention['qkv'] = dict(
      kernel=jnp.concatenate([q['kernel'][:, None], jnp.repeat(kv['kernel'], 2, axis=2)], axis=1),
      bias=jnp.concatenate([q['bias'][None], jnp.repeat(kv['bias'], 2, axis=1)]),
    )
  found, _ = jax.jit(plain.apply)({'params': params}, TOKENS)
  close(found, jax.jit(grouped.apply)(variables, TOKENS)[0])


def test_the_first_loss_is_that_of_a_guess_however_deep():
  model = gpt.make(256, 'tiny', depth=16, width=64, scan=True, dropout_rate=0.0)
  variables = jax.jit(model.init)(jax.random.key(0), TOKENS)
  logits, out = jax.jit(model.apply)(variables, TOKENS)
  probability = jax.nn.softmax(logits)
  assert float(jnp.abs(-jnp.log(probability).mean() - np.log(256)).max()) < 0.1
  stddev = float(out['blocks'][-1]['tokens'].std())
  assert stddev < 0.2  # branches that all started alike would add up to more
  kernels = variables['params']['decoder']['blocks']
  for module, wanted in dict(up=0.02, down=0.02 / 32**0.5).items():
    assert float(kernels['mlp'][module]['kernel'].std()) == pytest.approx(wanted, rel=0.05)
  for module, wanted in dict(qkv=0.02, out=0.02 / 32**0.5).items():
    assert float(kernels['attention'][module]['kernel'].std()) == pytest.approx(wanted, rel=0.05)


def test_positions_of_the_transformer_are_where_they_were():
  """A layer that GPT shares, and names that old checkpoints have."""
  model = transformer.make(VOCAB, 'mu', position_embedding='learned', max_length=12)
  tree = jax.eval_shape(model.init, jax.random.key(0), TOKENS, TOKENS)['params']
  assert set(tree) == {'source', 'encoder', 'decoder', 'source_position', 'target_position'}
  assert tree['source_position'].shape == tree['target_position'].shape == (12, 16)


@pytest.mark.parametrize(
  'words, says',
  [
    (dict(variant='smal'), 'did you mean small'),
    (dict(norm_place='branch'), 'pre'),
    (dict(position_embedding='rop'), 'did you mean rope'),
    (dict(num_heads=3), 'does not divide into 3 heads'),
    (dict(num_heads=2, num_kv_heads=3), 'num_kv_heads=3 does not divide the 2 heads'),
    (dict(position_embedding='rope', width=6, num_heads=2), 'an even width .of a head'),
    (dict(norm='batchnorm'), 'layernorm'),
    (dict(context=0), 'context=0 needs to be 1 or more'),
  ],
)
def test_bad_words_are_refused(words, says):
  with pytest.raises(UserError, match=says):
    make(**words)


def test_a_text_longer_than_what_is_learned_is_refused():
  model = make(context=8)
  with pytest.raises(UserError, match='context=8 tokens; sentences of 9 may come\nraise model.con'):
    jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  variables = jax.eval_shape(model.init, jax.random.key(0), TOKENS[:, :8])
  with pytest.raises(UserError, match='sentences of 9 may come'):
    jax.eval_shape(lambda v: model.apply(v, 1, 9, method='start'), variables)
