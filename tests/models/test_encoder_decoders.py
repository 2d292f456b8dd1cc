"""What every encoder-decoder promises: a new kind of model is a new row of ROWS."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers.sentences import INPUTS, TOKENS, VOCAB
from flax import linen as nn

from vitlab.models import rnn_seq2seq, transformer


class Row(NamedTuple):
  """A kind of model to hold to the laws.

  Attributes:
    make: Builds it, given a dropout_rate.
    attention: The shapes of its weights over the source.
    scale: Of its random parameters.
    rtol: Of the same sum in another order; a tenth of it near zero.
  """

  make: Callable[..., nn.Module]
  attention: list[tuple[int, ...]]
  scale: float
  rtol: float

  def close(self, found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=self.rtol, atol=self.rtol / 10)


def rnn(**words):
  maps = [] if words['attention'] == 'none' else [(3, 1, 4, 5)]
  return Row(functools.partial(rnn_seq2seq.make, VOCAB, width=6, **words), maps, 0.5, 1e-5)


def attentive(**words):
  make = functools.partial(transformer.make, VOCAB, 'mu', **words)
  return Row(make, [(3, 2, 4, 5)] * 2, 0.3, 1e-4)


ROWS = {
  'lstm': rnn(cell='lstm', attention='none'),
  'deep_lstm': rnn(cell='lstm', depth=2, bidirectional=True, attention='additive'),
  'lstm_previous': rnn(cell='lstm', attention='scaled_multiplicative', attention_order='previous'),
  'transformer': attentive(norm_place='post'),
  'transformer_pre': attentive(
    norm_place='pre', tied=False, position_embedding='learned', scan=True
  ),
  'transformer_swiglu': attentive(
    norm_place='pre', position_embedding='sincos_interleaved', mlp='swiglu'
  ),
}


class Case(NamedTuple):
  """A model in use: `model.apply`, compiled, and random parameters of every kind, biases too."""

  row: Row
  apply: Callable[..., Any]
  variables: Any


def compiled(model):
  return jax.jit(model.apply, static_argnames=('method', 'train', 'max_length'))


@functools.cache
def build(name: str) -> Case:
  """The case of a row, with dropout in its model: that it acts in training only is a law."""
  row = ROWS[name]
  model = row.make(dropout_rate=0.5)
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS, INPUTS)
  random = np.random.default_rng(0)
  draw = lambda x: jnp.asarray(random.normal(0, row.scale, x.shape), x.dtype)  # noqa: E731
  return Case(row, compiled(model), jax.tree.map(draw, like))


@pytest.fixture(params=ROWS)
def case(request):
  return build(request.param)


def test_one_step_at_a_time_is_all_at_once(case):
  row, apply, variables = case
  logits, out = apply(variables, TOKENS, INPUTS)
  looked = [weights.mean(axis=1) for weights in out.get('cross_attention', [])][-1:]  # [b t s]
  memory = apply(variables, TOKENS, method='encode')
  memory, state = apply(variables, memory, max_length=6, method='start')
  for i in range(INPUTS.shape[1]):
    one, state = apply(variables, memory, state, INPUTS[:, i], method='step')
    row.close(one, logits[:, i])
    for weights in looked:
      row.close(state.coverage, weights[:, : i + 1].sum(axis=1))
  if looked:
    np.testing.assert_array_equal(state.take(jnp.array([2, 0])).coverage, state.coverage[2::-2])
  else:
    assert state.coverage is None


def test_padding_and_neighbours_change_nothing(case):
  row, apply, variables = case
  whole, _ = apply(variables, jnp.pad(TOKENS, [(0, 0), (0, 3)]), INPUTS)
  for i, tokens in enumerate(TOKENS):
    alone, _ = apply(variables, tokens[tokens != 0][None], INPUTS[i : i + 1])
    row.close(alone[0], whole[i])


def test_no_token_sees_a_later_one(case):
  _, apply, variables = case
  logits, _ = apply(variables, TOKENS, INPUTS)
  other, _ = apply(variables, TOKENS, jnp.where(jnp.arange(4) < 2, INPUTS, INPUTS % 7 + 4))
  np.testing.assert_array_equal(logits[:, :2], other[:, :2])
  assert np.all(np.any(logits[:, 2:] != other[:, 2:], axis=-1))


def test_attention_is_a_distribution_over_the_source(case):
  row, apply, variables = case
  maps = apply(variables, TOKENS, INPUTS)[1].get('cross_attention', [])
  assert [weights.shape for weights in maps] == row.attention
  for weights in maps:
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
    assert not np.any(np.where(TOKENS[:, None, None] == 0, weights, 0))


def test_dropout_acts_in_training_only(case):
  row, apply, variables = case
  without = compiled(row.make(dropout_rate=0.0))
  run = functools.partial(apply, variables, TOKENS, INPUTS)
  np.testing.assert_array_equal(run()[0], without(variables, TOKENS, INPUTS)[0])
  one, two = (run(train=True, rngs={'dropout': jax.random.key(i)})[0] for i in range(2))
  assert np.all(np.any(one != two, axis=-1))
