"""Transformer-XL: sizes of the paper, and what a memory must and must not change."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab import registry
from vitlab.errors import UserError
from vitlab.layers.stack import stack_blocks
from vitlab.models import transformer_xl

VOCAB, T = 11, 12
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, T), dtype=np.int32)
CLUSTERS = dict(cutoffs=(4, 8), div_val=2)


def make(**words):
  return transformer_xl.make(VOCAB, **dict(variant='mu', context=4, dropout_rate=0.0) | words)


@pytest.fixture(scope='module')
def variables():
  """All parameters off their initial values; they are those of any of the ways to read."""
  variables = jax.jit(make(memory_length=0).init)(jax.random.key(0), TOKENS)
  random = np.random.default_rng(0)
  return jax.tree.map(lambda x: x + random.normal(0, 0.3, x.shape).astype(np.float32), variables)


def logits(model, variables, tokens=TOKENS):
  return jax.jit(lambda v: model.apply(v, jnp.asarray(tokens))[0])(variables)


def close(found, wanted, atol=2e-5):
  np.testing.assert_allclose(found, wanted, atol=atol, rtol=2e-5)


def apart(found, wanted):
  return float(np.abs(found - wanted).max())


# Millions of parameters, as published; of the last, by the config.json of transfo-xl-wt103.
COUNTS = {
  'base': (204, {}, 41),
  'large': (204, {}, 277),
  'wt103': (267735, {}, 151),
  'wt103_large': (267735, dict(cutoffs=(20000, 40000, 200000), div_val=4), 285),
}


@pytest.mark.parametrize('variant', COUNTS)
def test_there_are_as_many_parameters_as_published(variant):
  vocab, words, millions = COUNTS[variant]
  model = transformer_xl.make(vocab, variant, scan=True, memory_length=0, **words)
  tree = jax.eval_shape(model.init, jax.random.key(0), TOKENS)['params']
  assert round(sum(x.size for x in jax.tree.leaves(tree)) / 1e6) == millions


def test_segments_with_a_long_memory_are_one_long_pass(variables):
  whole = logits(make(context=T), variables)
  for segment in (4, 5):  # which divides the row, and which does not
    close(logits(make(context=segment, eval_memory_length=T), variables), whole)
  # Where it is too short, the first segment alone is the same.
  short = logits(make(context=4, eval_memory_length=2), variables)
  close(short[:, :4], whole[:, :4])
  assert apart(short[:, 6:], whole[:, 6:]) > 0.1


def test_attention_of_a_long_row_is_that_of_one_pass(variables):
  run = lambda model: jax.jit(lambda v: model.apply(v, jnp.asarray(TOKENS))[1])(variables)  # noqa: E731
  whole, parts = run(make(context=T)), run(make(context=5, eval_memory_length=T))
  assert [w.shape for w in parts['attention']] == [(2, 2, T, T)] * 2
  close(parts['attention'], whole['attention'])
  close(parts['features'], whole['features'], atol=2e-4)
  alone = run(make(context=5, eval_memory_length=0))['attention'][0]
  assert not alone[:, :, 5:, :5].any() and float(alone.sum(-1).min()) > 0.99


def test_without_a_memory_each_segment_is_read_alone(variables):
  found = logits(make(memory_length=0), variables)
  close(found[:, 4:8], logits(make(), variables, TOKENS[:, 4:8]))
  assert apart(found[:, 4:], logits(make(), variables)[:, 4:]) > 0.1


def test_a_longer_row_has_no_place_that_was_not_learned(variables):
  """Only distances count: what a text says does not depend on where in the row it begins."""
  model = make(context=T)
  first, again = (logits(model, variables, x) for x in (TOKENS, np.tile(TOKENS, 2)))
  close(again[:, :T], first)
  assert apart(again[:, T:], first) > 0.1  # it has been read before


def test_with_same_length_it_does_not_matter_how_a_text_is_cut(variables):
  """Every token sees as many tokens, wherever in a segment it stands."""
  words = dict(same_length=True, memory_length=5)
  found = [logits(make(context=segment, **words), variables) for segment in (1, 4, 5, T)]
  for other in found[1:]:
    close(other, found[0])
  assert apart(found[0], logits(make(context=T), variables)) > 0.1


def test_no_token_sees_what_follows_it(variables):
  other = TOKENS.copy()
  other[:, 6:] = (other[:, 6:] + 1) % VOCAB
  first, second = (logits(make(), variables, tokens) for tokens in (TOKENS, other))
  np.testing.assert_array_equal(first[:, :6], second[:, :6])
  assert apart(first[:, 6:], second[:, 6:]) > 0.1


def test_training_carries_what_evaluation_scans(variables):
  """Segment by segment, from the memory that the parameters came with: an empty one."""
  model = make(memory_length=6)
  memory = jax.jit(model.init)(jax.random.key(0), TOKENS[:, :4])['memory']
  assert memory['inputs'].shape == (2, 2, 6, 16) and not memory['length'].any()
  step = jax.jit(partial(model.apply, train=True, mutable=['memory']))
  carried, found = {**variables, 'memory': memory}, []
  for segment in np.split(TOKENS, 3, axis=1):
    (given, out), mutated = step(carried, segment)
    found.append(given)
    carried |= mutated
  assert [w.shape for w in out['attention']] == [(2, 2, 4, 10)] * 2
  close(np.concatenate(found, axis=1), logits(model, variables))
  np.testing.assert_array_equal(carried['memory']['length'], [6, 6])
  # An evaluation neither reads that memory nor writes it.
  close(logits(model, carried), logits(model, variables))


@pytest.mark.parametrize('words', [{}, dict(same_length=True, memory_length=3), CLUSTERS])
def test_a_prompt_and_then_one_by_one_is_all_at_once(words):
  model = make(context=9, **words)
  variables = jax.jit(model.init)(jax.random.key(0), TOKENS)
  random = np.random.default_rng(0)
  variables = {
    'params': jax.tree.map(
      lambda x: x + random.normal(0, 0.3, x.shape).astype(np.float32), variables['params']
    )
  }
  wanted = logits(model, variables, TOKENS[:, :9])
  step = jax.jit(partial(model.apply, method='step'))
  state, found = model.apply(variables, 2, 9, method='start'), []
  for tokens in (TOKENS[:, :6], *TOKENS[:, 6:9, None].swapaxes(0, 1)):
    given, state = step(variables, state, jnp.asarray(tokens))
    found.append(given)
  close(np.concatenate(found, axis=1), wanted)
  # Any rows of what was read go on as these rows do.
  again, _ = step(variables, state.take(jnp.array([1, 1])), jnp.array([[3], [3]]))
  ahead, _ = step(variables, state, jnp.array([[5], [3]]))
  close(again[0], ahead[1])


def test_weights_of_attention_are_dropped_in_training_alone(variables):
  model = make(attention_dropout_rate=0.5, memory_length=0)
  tokens, key = jnp.asarray(TOKENS[:, :4]), jax.random.key(0)
  run = jax.jit(lambda v: model.apply(v, tokens, train=True, rngs={'dropout': key})[0])
  wanted = logits(make(memory_length=0), variables, TOKENS[:, :4])
  assert apart(run(variables), wanted) > 0.1
  close(logits(model, variables, TOKENS[:, :4]), wanted)


def test_a_scanned_stack_gives_the_same(variables):
  scanned = {'params': stack_blocks(variables['params'])}
  close(logits(make(scan=True), scanned), logits(make(), variables))


def test_how_it_reads_is_no_part_of_what_it_has_learned():
  """So that `--mode=eval` takes another memory than training."""
  spec = dict(name='transformer_xl', vocab_size=VOCAB, variant='mu', context=4)
  ways = dict(memory_length=9, eval_memory_length=3, same_length=True, clamp_len=2, context=7)
  wanted = registry.describe('models', spec)
  assert registry.describe('models', spec | ways) == wanted
  assert registry.describe('models', spec | dict(div_val=2)) != wanted
  assert registry.describe('models', spec | dict(norm_epsilon=1e-6)) != wanted


@pytest.mark.parametrize(
  'words, says',
  [
    (dict(variant='bas'), 'did you mean base'),
    (dict(num_heads=3), 'does not divide into 3 heads'),
    (dict(width=5, num_heads=1), 'the width 5 is not even'),
    (dict(memory_length=-1), 'memory_length=-1 needs to be 0 or more'),
    (dict(context=0), 'context=0 needs to be 1 or more'),
    (dict(clamp_len=-1), 'clamp_len=-1 needs to be 1 or more'),
    (dict(cutoffs=(8, 4)), 'need to rise'),
    (dict(cutoffs=(4, 11)), 'between 0 and the 11 tokens'),
    (dict(cutoffs=(4, 8), div_val=8), 'something for each of 2 clusters'),
  ],
)
def test_bad_words_are_refused(words, says):
  with pytest.raises(UserError, match=says):
    make(**words)


def test_rows_of_several_documents_are_refused(variables):
  with pytest.raises(UserError, match='leave out data.pack'):
    make().apply(variables, jnp.asarray(TOKENS), segments=jnp.asarray(TOKENS))
