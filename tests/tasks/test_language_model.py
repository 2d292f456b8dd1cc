"""Which targets of a text count, and for how much."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab import registry
from vitlab.errors import UserError
from vitlab.models import gpt, transformer_xl
from vitlab.tasks import language_model

VOCAB = 7
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (3, 7), dtype=np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 2, 2, 2], [1, 2, 2, 2, 2, 0, 0], [0] * 7], np.int32)
# Never the first of a document, and never padding.
COUNTED = np.array([[1, 1, 1, 0, 1, 1], [0, 1, 1, 1, 0, 0], [0] * 6], bool)


@functools.cache
def built(label_smoothing=0.0):
  """The task, its variables, its loss and its scores."""
  model = gpt.make(VOCAB, 'mu', depth=1, context=8, dropout_rate=0.0)
  task = language_model.make(model, label_smoothing)
  variables = jax.jit(task.init)(jax.random.key(0), dict(tokens=jnp.asarray(TOKENS)))
  variables = jax.tree.map(
    lambda x: x + 0.3 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), variables
  )
  return task, variables, jax.jit(task.losses['model']), jax.jit(task.predict['scores'])


def batch(**more):
  return {key: jnp.asarray(x) for key, x in dict(tokens=TOKENS, **more).items()}


def test_a_target_counts_if_it_and_its_input_are_of_one_document():
  np.testing.assert_array_equal(language_model.counted(batch(segments=SEGMENTS)), COUNTED)
  scored = np.arange(6)[None] >= np.array([[0], [2], [0]])
  found = language_model.counted(batch(segments=SEGMENTS, scored=scored))
  np.testing.assert_array_equal(found, COUNTED & scored)
  assert language_model.counted(batch()).all()


def test_the_loss_is_the_mean_over_what_counts():
  task, variables, loss, scores = built()
  given = batch(segments=SEGMENTS)
  found = loss(variables, given, jax.random.key(0))
  logits = jax.jit(task.predict['logits'])(variables, given)
  log_probability = np.take_along_axis(
    np.asarray(jax.nn.log_softmax(logits)), TOKENS[:, 1:, None], -1
  )
  nll = np.where(COUNTED, -log_probability[..., 0], 0)
  assert float(found.value) == pytest.approx(nll.sum() / COUNTED.sum(), rel=1e-5)
  assert float(found.weight) == COUNTED.sum()
  np.testing.assert_allclose(scores(variables, given)['nll'], nll, atol=1e-5)
  right = (np.asarray(logits).argmax(-1) == TOKENS[:, 1:]) & COUNTED
  np.testing.assert_array_equal(scores(variables, given)['right'], right)
  assert float(found.metrics['token_accuracy'][0]) == right.sum()


def test_documents_of_one_row_are_scored_as_each_alone():
  _, variables, _, scores = built()
  together = scores(variables, batch(segments=SEGMENTS))['nll'][0]
  alone = np.zeros_like(TOKENS)
  alone[0, :4], alone[1, :3] = TOKENS[0, :4], TOKENS[0, 4:]
  apart = scores(variables, dict(tokens=jnp.asarray(alone)))['nll']
  np.testing.assert_allclose(together[:3], apart[0, :3], atol=1e-5)
  np.testing.assert_allclose(together[4:], apart[1, :2], atol=1e-5)


def test_token_0_is_a_token():
  """Published vocabularies have no padding: where nothing says otherwise everything counts."""
  _, variables, loss, _ = built()
  zeros = dict(tokens=jnp.zeros((3, 7), jnp.int32))
  assert float(loss(variables, zeros, jax.random.key(0)).weight) == 18


def test_what_is_smoothed_is_the_loss_and_not_the_scores():
  (_, variables, loss, scores), (_, _, smooth, smooth_scores) = built(), built(0.3)
  key = jax.random.key(0)
  assert (
    abs(float(loss(variables, batch(), key).value - smooth(variables, batch(), key).value)) > 0.01
  )
  np.testing.assert_array_equal(
    scores(variables, batch())['nll'], smooth_scores(variables, batch())['nll']
  )


def test_text_that_is_not_here_is_assumed_of_a_config():
  found = language_model.assumed(dict(context=4), dict(vocab_size=9))
  assert found.facts == dict(vocab_size=9, context=4) and found.example['tokens'].shape == (5,)
  assert language_model.assumed({}, dict(vocab_size=9)) is None


def test_a_stand_in_for_lanes_says_where_they_begin():
  found = language_model.assumed(dict(context=4, order='lanes'), dict(vocab_size=9))
  assert found.example['restart'].shape == () and not found.example['restart']


@functools.cache
def remembering():
  """A task with a memory, its variables after a step, and its loss."""
  model = transformer_xl.make(VOCAB, 'mu', depth=1, context=6, memory_length=5, dropout_rate=0.0)
  task = language_model.make(model)
  first = batch(restart=np.zeros(3, bool))
  variables = jax.jit(task.init)(jax.random.key(0), first)
  variables['model']['params'] = jax.tree.map(
    lambda x: x + 0.3 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), variables['model']['params']
  )
  loss = jax.jit(task.losses['model'])
  mutated = loss(variables, first, jax.random.key(0)).mutated
  return task, variables, {'model': variables['model'] | mutated['model']}, loss


def test_rows_that_begin_again_have_forgotten_what_was_before():
  task, fresh, read, loss = remembering()
  assert (read['model']['memory']['length'] == 5).all()
  key, some = jax.random.key(0), np.array([False, True, False])
  logits = lambda variables, restart: loss(  # noqa: E731
    variables, batch(restart=restart), key
  ).outputs['logits']
  first, second, mixed = logits(fresh, ~some & some), logits(read, ~some & some), logits(read, some)
  np.testing.assert_allclose(mixed[1], first[1], atol=1e-5)
  np.testing.assert_array_equal(mixed[::2], second[::2])
  assert (np.abs(second - first).max((1, 2)) > 0.01).all()
  again = loss(read, batch(restart=some), key).mutated['model']['memory']
  np.testing.assert_array_equal(again['length'], 5)
  # What a prediction reads begins with nothing.
  found = jax.jit(task.predict['logits'])(read, batch())
  np.testing.assert_allclose(found, first, atol=1e-5)


def test_a_memory_of_rows_that_do_not_go_on_is_refused():
  task, variables, _, _ = remembering()
  with pytest.raises(UserError, match='order=.lanes., or model.memory_length=0'):
    task.losses['model'](variables, batch(), jax.random.key(0))


@pytest.mark.parametrize(
  'words, says',
  [
    (dict(label_smoothing=1.0), 'the smoothing lies in'),
    (dict(max_tokens=0), 'max_tokens is 1 or more'),
    (dict(search=dict(name='beam')), 'language_model has no beams'),
    (dict(search=dict(name='sampel')), 'did you mean sample'),
  ],
)
def test_bad_words_are_refused(words, says):
  model = registry.make('models', dict(name='gpt', vocab_size=5, variant='mu'))
  with pytest.raises(UserError, match=says):
    language_model.make(model, **words)
