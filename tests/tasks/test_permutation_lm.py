"""What a permutation language model is asked and graded on; the contract is in test_contract.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vitlab.errors import UserError
from vitlab.tasks import permutation_lm

VOCAB = 12
SPECIAL = dict(pad=0, cls=1, sep=2, mask=None)


class Ranks(nn.Module):
  """Says the rank of every place that it is asked for, whatever stands there."""

  @nn.compact
  def __call__(self, tokens, segments=None, places=None, order=None, train=False):
    scale = self.param('scale', nn.initializers.constant(4.0), ())
    order = jnp.zeros_like(tokens) if order is None else order
    rank = order if places is None else jnp.take_along_axis(order, places, axis=1)
    return scale * jax.nn.one_hot(rank, VOCAB), dict(features=jax.nn.one_hot(tokens, VOCAB))


def rows(count, length=36):
  """<cls> words <sep> and padding; words are numbers from 3 on."""
  random = np.random.default_rng(0)
  tokens = random.integers(3, VOCAB, (count, length), dtype=np.int32)
  ends = random.integers(9, length, count)
  at = np.arange(length)
  tokens = np.where(at < ends[:, None], tokens, np.where(at == ends[:, None], 2, 0))
  tokens[:, 0] = 1
  segments = (at <= ends[:, None]).astype(np.int32)
  batch = dict(tokens=tokens.astype(np.int32), segments=segments, index=np.arange(count))
  return jax.tree.map(jnp.asarray, batch)


def started(**words):
  task = permutation_lm.make(Ranks(), SPECIAL, **words)
  return task, jax.jit(task.init)(jax.random.key(0), rows(2))


def test_the_loss_is_that_of_a_share_of_the_words():
  task, variables = started()
  batch, loss = rows(2000), jax.jit(task.losses['model'])
  first, again, other = (loss(variables, batch, jax.random.key(i)) for i in (0, 0, 1))
  assert first.value == again.value != other.value
  words = float((batch['tokens'] > 2).sum())
  assert abs(float(first.weight) / words - 1 / 6) < 0.01
  targets = jax.jit(task.predict['guesses'])(variables, batch)
  counted = np.asarray(targets['counted'])
  assert (np.asarray(targets['target'])[counted] > 2).all()


def test_an_evaluation_draws_by_the_number_of_the_example():
  task, variables = started()
  batch, guesses = rows(6), jax.jit(task.predict['guesses'])
  whole = guesses(variables, batch)
  order = np.array([4, 2, 0, 5, 1, 3])
  moved = guesses(variables, {name: x[order] for name, x in batch.items()})
  for name in whole:
    np.testing.assert_array_equal(whole[name][order], moved[name])
  anew = guesses(variables, batch | dict(index=jnp.arange(6) + 6))
  assert any((whole[name] != anew[name]).any() for name in ('place', 'counted'))


def test_tokens_are_said_one_after_the_other_or_at_once():
  task, variables = started()
  batch = rows(50)
  one, once = (jax.jit(task.predict[n])(variables, batch) for n in ('guesses', 'guesses_at_once'))
  for name in ('place', 'target', 'counted'):
    np.testing.assert_array_equal(one[name], once[name])
  counted = np.asarray(one['counted'])
  for ranks, there in zip(np.asarray(one['guess']), counted):
    assert len(set(ranks[there])) == there.sum() and (ranks[there] > 0).all()
  assert (np.asarray(once['guess'])[counted] == 1).all()


WRONG = {'share': (dict(share=1.0), 'share=1.0'), 'span': (dict(longest=0), 'longest=0')}


@pytest.mark.parametrize('case', WRONG)
def test_what_cannot_be_is_said(case):
  words, message = WRONG[case]
  with pytest.raises(UserError, match=message):
    permutation_lm.make(Ranks(), SPECIAL, **words)


def test_what_a_config_says_of_text_that_is_not_here():
  found = permutation_lm.assumed(dict(vocab_size=9, context=5), {})
  assert found.facts['vocab_size'] == 9 and found.example['tokens'].shape == (6,)
  assert permutation_lm.assumed(dict(vocab_size=9), {}) is None


def test_the_last_token_of_a_row_that_goes_on_is_left_to_the_next_one():
  task, variables = started()
  batch, loss = rows(4, length=30), jax.jit(task.losses['model'])
  cut = {name: x[:, :-1] if x.ndim > 1 else x for name, x in batch.items()}
  goes_on = batch | dict(restart=jnp.zeros(4, bool))
  key = jax.random.key(0)
  assert loss(variables, goes_on, key).value == loss(variables, cut, key).value
  assert loss(variables, batch, key).value != loss(variables, cut, key).value


def test_a_memory_of_rows_that_do_not_go_on_is_refused():
  task, variables = started()
  variables = {'model': {**variables['model'], 'memory': dict(inputs=jnp.ones(2))}}
  with pytest.raises(UserError, match="set data.order='lanes', or model.memory_length=0"):
    task.losses['model'](variables, rows(2), jax.random.key(0))
