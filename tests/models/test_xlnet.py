"""XLNet: orders through which nothing leaks, padding on either side, memory, and its heads."""

import itertools

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from vitlab.errors import UserError
from vitlab.models import xlnet

VOCAB = 11
TOKENS = jnp.asarray(np.random.default_rng(0).integers(1, VOCAB, (2, 9), dtype=np.int32))
SEGMENTS = np.array([[1, 1, 1, 1, 2, 3, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 2, 3]], np.int32)


def make(**words):
  return xlnet.make(VOCAB, **dict(variant='mu', dropout_rate=0.0) | words)


def variables_of(model, tokens=TOKENS):
  """All parameters off their initial values."""
  variables = jax.jit(model.init)(jax.random.key(0), tokens)
  random = np.random.default_rng(0)
  moved = lambda x: x + random.normal(0, 0.3, x.shape).astype(np.float32)  # noqa: E731
  return dict(variables, params=jax.tree.map(moved, variables['params']))


def test_there_are_as_many_parameters_as_published():
  size = xlnet.VARIANTS['base']._asdict()
  names = dict(width='d_model', depth='n_layer', num_heads='n_head', mlp_dim='d_inner')
  words = {names[word]: number for word, number in size.items()}
  with torch.device('meta'):
    theirs = transformers.XLNetLMHeadModel(transformers.XLNetConfig(**words))
  model = xlnet.make(32000, 'base', scan=True)
  ours = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  assert sum(x.size for x in jax.tree.leaves(ours)) == theirs.num_parameters()


def test_in_every_order_a_token_is_said_by_those_before_it_alone():
  """A change of one token moves the logits of all that come later, and of no other: 24 orders of
  four tokens, which two that all see precede."""
  orders = np.array([(0, 0, *order) for order in itertools.permutations((1, 2, 3, 4))], np.int32)
  count, t = orders.shape
  places = np.broadcast_to(np.arange(2, t), (count, 4))
  given = jnp.asarray(places), jnp.asarray(orders)
  model = make()
  variables = variables_of(model)
  say = jax.jit(lambda tokens: model.apply(variables, tokens, None, *given)[0])
  tokens = np.broadcast_to(np.arange(1, t + 1, dtype=np.int32), (count, t))
  before = np.asarray(say(tokens))
  for changed in range(t):
    other = np.where(np.arange(t) == changed, 9, tokens).astype(np.int32)
    moved = np.abs(np.asarray(say(other)) - before).max(-1)
    later = orders[:, 2:] > orders[:, changed, None]
    assert (moved[later] > 1e-4).all() and (moved[~later] == 0).all()


def test_without_an_order_a_token_is_read_from_both_sides():
  model = make()
  variables = variables_of(model)
  run = jax.jit(lambda tokens: model.apply(variables, tokens)[0])
  moved = np.abs(run(TOKENS) - run(np.where(np.arange(9) == 4, 0, TOKENS))).max((0, 2))
  assert (moved > 1e-3).all()


@pytest.mark.parametrize('head', ['words', 'text'])
def test_padding_on_either_side_changes_nothing(head):
  model = make(head=head, num_classes=3)
  variables = variables_of(model)
  run = jax.jit(lambda *batch: model.apply(variables, *batch)[0])
  right, rows = run(TOKENS, SEGMENTS), (SEGMENTS > 0)[:1]
  other = run(np.where(SEGMENTS > 0, TOKENS, 3), SEGMENTS)
  left = run(*(np.roll(x[:1], 3, axis=1) for x in (TOKENS, SEGMENTS)))
  if head == 'words':
    right, other, left = (
      x[:1][r] for x, r in ((right, rows), (other, rows), (left, rows[:, ::-1]))
    )
  np.testing.assert_array_equal(right, other)
  np.testing.assert_allclose(left, right[: len(left)], atol=2e-5)


def test_a_text_is_the_last_of_its_tokens():
  model = make(head='text', num_classes=3)
  variables = variables_of(model)
  out = jax.jit(lambda *batch: model.apply(variables, *batch)[1])(TOKENS, SEGMENTS)
  tokens = out['blocks'][-1]['tokens']
  np.testing.assert_array_equal(out['features'], np.stack([tokens[0, 5], tokens[1, 8]]))


def test_segments_say_which_tokens_are_of_one_and_no_more():
  model = make()
  variables = variables_of(model)
  run = jax.jit(lambda segments: model.apply(variables, TOKENS, segments)[0])
  halves = np.where(np.arange(9) < 4, 1, 2)[None].repeat(2, 0)
  np.testing.assert_array_equal(run(halves), run(3 - halves))
  assert np.abs(run(halves) - run(np.ones_like(halves))).max() > 1e-3


def test_a_memory_is_read_only_where_there_is_one():
  """The first step reads none, and who hands none in reads none."""
  plain, model = make(), make(memory_length=5)
  variables = variables_of(model)
  start, params = variables['memory'], dict(params=variables['params'])
  assert start['inputs'].shape == (2, 2, 5, 16) and not np.any(start['length'])
  apply = jax.jit(lambda v, *batch: model.apply(v, *batch, mutable='memory'))
  whole = np.ones_like(TOKENS)
  (first, _), one = apply(variables, TOKENS, whole)
  alone = jax.jit(plain.apply)(params, TOKENS, whole)[0]
  np.testing.assert_allclose(first, alone, atol=1e-5)
  np.testing.assert_array_equal(jax.jit(model.apply)(params, TOKENS, whole)[0], alone)
  (second, _), _ = apply(params | one, TOKENS, whole)
  assert np.abs(second - first).max() > 1e-3


def test_a_scanned_stack_is_the_same():
  model, scanned = make(memory_length=5), make(memory_length=5, scan=True)
  variables = jax.jit(model.init)(jax.random.key(0), TOKENS)
  stacked = jax.jit(scanned.init)(jax.random.key(0), TOKENS)
  for _ in range(2):
    found = []
    for one, state in ((model, variables), (scanned, stacked)):
      (logits, _), mutated = jax.jit(lambda v, m=one: m.apply(v, TOKENS, mutable='memory'))(state)
      state.update(mutated)
      found.append(logits)
    np.testing.assert_allclose(*found, atol=1e-5)


@pytest.mark.parametrize('rate', ['dropout_rate', 'attention_dropout_rate'])
def test_dropout_acts_in_training_alone(rate):
  model = make(head='text', num_classes=3, **{rate: 0.5})
  variables = variables_of(model)
  apply = jax.jit(model.apply, static_argnames='train')
  still = apply(variables, TOKENS)[0]
  one, other = (
    apply(variables, TOKENS, train=True, rngs={'dropout': jax.random.key(i)})[0] for i in range(2)
  )
  assert np.abs(one - other).max() > 1e-3 and np.abs(one - still).max() > 1e-3


WRONG = {
  'head': (dict(head='sum'), "unknown head 'sum'"),
  'classes': (dict(head='text'), 'needs num_classes'),
  'memory': (dict(memory_length=-1), 'memory_length=-1'),
  'variant': (dict(variant='huge'), "unknown XLNet variant 'huge'"),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_cannot_be_is_said(case):
  words, message = WRONG[case]
  with pytest.raises(UserError, match=message):
    make(**words)
