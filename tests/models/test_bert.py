"""BERT: sizes of the papers, padding that is not seen, and its heads."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.models import bert

VOCAB = 11
TOKENS = np.random.default_rng(0).integers(1, VOCAB, (2, 9), dtype=np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 2, 2, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1, 2]], np.int32)


def make(**words):
  return bert.make(VOCAB, **dict(variant='mu', max_length=12, dropout_rate=0.0) | words)


def variables_of(model):
  """All parameters off their initial values."""
  variables = jax.jit(model.init)(jax.random.key(0), TOKENS)
  random = np.random.default_rng(0)
  return jax.tree.map(lambda x: x + random.normal(0, 0.3, x.shape).astype(np.float32), variables)


def count(model):
  tree = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  return sum(x.size for x in jax.tree.leaves(tree))


# All parameters of the published BertModel, with its pooler.
COUNTS = {
  'tiny': 4_385_920,
  'mini': 11_170_560,
  'small': 28_763_648,
  'medium': 41_373_184,
  'base': 109_482_240,
  'large': 335_141_888,
}


@pytest.mark.parametrize('variant', COUNTS)
def test_there_are_as_many_parameters_as_published(variant):
  assert count(bert.make(30522, variant, head='none', scan=True)) == COUNTS[variant]


def test_the_heads_of_pretraining_have_as_many_parameters_as_published():
  assert count(bert.make(30522, 'base', next_passage=True, scan=True)) == 110_106_428


def test_what_stands_at_a_padded_place_changes_nothing():
  model = make(next_passage=True)
  variables = variables_of(model)
  run = jax.jit(lambda *batch: model.apply(variables, *batch)[1])
  out = run(TOKENS, SEGMENTS)
  other = run(np.where(SEGMENTS > 0, TOKENS, 3), SEGMENTS)
  for name in ('logits', 'next_passage', 'pooled'):
    mine, theirs = np.asarray(out[name]), np.asarray(other[name])
    if mine.shape[:2] == SEGMENTS.shape:
      mine, theirs = mine[SEGMENTS > 0], theirs[SEGMENTS > 0]
    np.testing.assert_array_equal(mine, theirs)
  shorter = run(TOKENS[:1, :6], SEGMENTS[:1, :6])
  np.testing.assert_allclose(shorter['logits'][0], out['logits'][0, :6], atol=2e-5)


def test_a_token_is_read_from_both_sides():
  model = make()
  variables = variables_of(model)
  run = jax.jit(lambda tokens: model.apply(variables, tokens)[0])
  moved = np.abs(run(TOKENS) - run(np.where(np.arange(9) == 4, 0, TOKENS))).max((0, 2))
  assert (moved > 1e-3).all()


def test_with_rotary_positions_only_distances_count():
  words = dict(norm_place='pre', position_embedding='rope')
  for model, same in ((make(**words), True), (make(norm_place='pre'), False)):
    variables = variables_of(model)
    run = jax.jit(lambda *batch: model.apply(variables, *batch)[0])  # noqa: B023
    late, moved = np.pad(TOKENS, ((0, 0), (3, 0))), np.pad(SEGMENTS * 0 + 1, ((0, 0), (3, 0)))
    far = np.abs(run(late, moved)[:, 3:] - run(TOKENS)).max()
    assert far < 2e-5 if same else far > 1e-2
    assert np.abs(run(TOKENS[:, ::-1])[:, ::-1] - run(TOKENS)).max() > 1e-2  # their sign, too


SHAPES = {
  'words': (dict(), (2, 9, VOCAB)),
  'text': (dict(head='text', num_classes=3), (2, 3)),
  'tokens': (dict(head='tokens', num_classes=3, pooler=False), (2, 9, 3)),
  'none': (dict(head='none'), (2, 9, 16)),
}


@pytest.mark.parametrize('head', SHAPES)
def test_what_a_head_gives(head):
  words, shape = SHAPES[head]
  model = make(dtype='bfloat16', **words)
  (logits, out), variables = jax.eval_shape(
    model.init_with_output, jax.random.key(0), TOKENS, SEGMENTS
  )
  assert logits.shape == shape and out['features'].shape == (2, 9, 16)
  assert logits.dtype == (jnp.bfloat16 if head == 'none' else jnp.float32)
  assert ('pooled' in out) == ('pooler' in variables['params']) == words.get('pooler', True)


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
  'head': (dict(head='sentence'), "head 'sentence'.*none, text, tokens, words"),
  'classes': (dict(head='text'), "head='text' needs num_classes"),
  'pooler': (dict(next_passage=True, pooler=False), 'need the pooler'),
  'positions': (dict(position_embedding='sincos'), "position_embedding.*'sincos'"),
  'variant': (dict(variant='huge'), "BERT variant 'huge'"),
  'heads': (dict(num_heads=3), 'does not divide into 3 heads'),
  'rate': (dict(attention_dropout_rate=1.5), 'attention_dropout_rate=1.5 is not a probability'),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_cannot_be_is_said(case):
  words, message = WRONG[case]
  with pytest.raises(UserError, match=message):
    make(**words)


def test_a_text_that_is_too_long_is_said():
  with pytest.raises(UserError, match='max_length=12'):
    jax.eval_shape(make().init, jax.random.key(0), np.zeros((1, 13), np.int32))
