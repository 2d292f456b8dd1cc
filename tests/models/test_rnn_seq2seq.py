"""RNN sequence to sequence: the numbers of a plain torch loop, and the laws of decoding."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity, torch_seq2seq

from vitlab.errors import UserError
from vitlab.models import rnn_seq2seq

VOCAB, WIDTH = 11, 6
TOKENS = jnp.array([[4, 7, 5, 9, 2], [8, 2, 0, 0, 0], [6, 10, 4, 2, 0]])
INPUTS = jnp.array([[1, 9, 5, 7], [1, 8, 3, 0], [1, 4, 10, 6]])
NAMES = ('cell', 'depth', 'bidirectional', 'attention', 'attention_order')
KINDS = [
  ('rnn', 1, False, 'multiplicative', 'current'),
  ('lstm', 1, False, 'none', 'current'),
  ('lstm', 2, True, 'additive', 'current'),
  ('lstm', 1, False, 'scaled_multiplicative', 'previous'),
  ('gru', 2, False, 'general', 'current'),
  ('gru', 1, True, 'additive', 'previous'),
]


def make(kind, **more):
  words = dict(width=WIDTH, **dict(zip(NAMES, kind)), **more)
  return rnn_seq2seq.make(VOCAB, **words)


def apply(model, variables, *args, **options):
  """`model.apply` as one compiled program: an eager loop takes seconds."""
  static = {k: options.pop(k) for k in ('method', 'train') if k in options}
  return jax.jit(partial(model.apply, **static))(variables, *args, **options)


def perturbed(model, seed=0):
  """Random parameters of every kind, biases too."""
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS, INPUTS)
  random = np.random.default_rng(seed)
  return jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.5, x.shape), x.dtype), like)


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: '-'.join(map(str, kind)))
def test_equals_a_plain_torch_loop(kind, x64):
  oracle = parity.perturb(torch_seq2seq.Seq2Seq(VOCAB, WIDTH, *kind))
  expected = oracle(*(torch.tensor(np.array(x)).long() for x in (TOKENS, INPUTS)))
  weights = parity.projection(expected.shape)
  (expected * torch.tensor(weights)).sum().backward()
  model, params = make(kind, dtype='float64'), torch_seq2seq.to_ours(oracle)
  params = jax.tree.map(jnp.asarray, params)

  @jax.jit
  def run(params):
    logits, _ = model.apply({'params': params}, TOKENS, INPUTS)
    return (logits * weights).sum(), logits

  (_, logits), gradients = jax.value_and_grad(run, has_aux=True)(params)
  assert parity.error(logits, expected.detach().numpy()) < 1e-12
  assert parity.error(gradients, torch_seq2seq.to_ours(oracle, gradients=True)) < 1e-11


@pytest.mark.parametrize('kind', KINDS[1:4], ids=lambda kind: '-'.join(map(str, kind)))
def test_one_step_at_a_time_is_all_at_once(kind):
  model = make(kind)
  variables = perturbed(model)
  logits, out = apply(model, variables, TOKENS, INPUTS)
  memory = apply(model, variables, TOKENS, method='encode')
  memory, state = model.apply(variables, memory, 4, method='start')
  for i in range(INPUTS.shape[1]):
    one, state = apply(model, variables, memory, state, INPUTS[:, i], method='step')
    np.testing.assert_allclose(one, logits[:, i], rtol=1e-5, atol=1e-6)
  if 'cross_attention' in out:
    covered = out['cross_attention'][0].sum(axis=(1, 2))
    np.testing.assert_allclose(state.coverage, covered, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(state.take(jnp.array([2, 0])).coverage, state.coverage[2::-2])
  else:
    assert state.coverage is None


@pytest.mark.parametrize('kind', KINDS[1:4], ids=lambda kind: '-'.join(map(str, kind)))
def test_padding_and_neighbours_change_nothing(kind):
  model = make(kind)
  variables = perturbed(model)
  whole, _ = apply(model, variables, jnp.pad(TOKENS, [(0, 0), (0, 3)]), INPUTS)
  for i, row in enumerate(TOKENS):
    alone, _ = apply(model, variables, row[row != 0][None], INPUTS[i : i + 1])
    np.testing.assert_allclose(alone[0], whole[i], rtol=1e-5, atol=1e-6)


def test_a_step_sees_no_later_input():
  model = make(KINDS[2])
  variables = perturbed(model)
  logits, _ = apply(model, variables, TOKENS, INPUTS)
  other, _ = apply(model, variables, TOKENS, jnp.where(jnp.arange(4) < 2, INPUTS, INPUTS % 7 + 4))
  np.testing.assert_array_equal(logits[:, :2], other[:, :2])
  assert np.all(np.any(logits[:, 2:] != other[:, 2:], axis=-1))


def test_attention_is_a_distribution_over_the_source():
  model = make(KINDS[2])
  (weights,) = apply(model, perturbed(model), TOKENS, INPUTS)[1]['cross_attention']
  assert weights.shape == (3, 1, 4, 5)
  np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
  assert not np.any(np.where(TOKENS[:, None, None] == 0, weights, 0))
  plain = make(KINDS[1])
  assert 'cross_attention' not in apply(plain, perturbed(plain), TOKENS, INPUTS)[1]


def test_dropout_acts_in_training_only():
  model = make(KINDS[2], dropout_rate=0.5)
  variables = perturbed(model)
  run = partial(apply, model, variables, TOKENS, INPUTS)
  np.testing.assert_array_equal(run()[0], apply(make(KINDS[2]), variables, TOKENS, INPUTS)[0])
  one, two = (run(train=True, rngs={'dropout': jax.random.key(i)})[0] for i in range(2))
  assert np.all(np.any(one != two, axis=-1))


def test_an_lstm_starts_to_remember():
  model = make(KINDS[2])
  variables = jax.jit(model.init)(jax.random.key(0), TOKENS, INPUTS)
  bias = variables['params']['encoder']['layer_0_forward']['input']['bias']
  np.testing.assert_array_equal(bias[1], 1)
  assert not np.any(np.delete(bias, 1, axis=0))
  u = np.asarray(variables['params']['decoder']['cells_0']['hidden']['kernel'])[:, 2]
  np.testing.assert_allclose(u @ u.T, np.eye(WIDTH), atol=1e-5)


@pytest.mark.parametrize(
  'words, says',
  [
    (dict(cell='lsmt'), 'lstm'),
    (dict(attention='aditive'), 'additive'),
    (dict(attention_order='next'), 'previous'),
    (dict(depth=0), 'at least 1'),
    (dict(dropout_rate=1.0), 'dropout_rate'),
  ],
)
def test_bad_words_are_refused(words, says):
  with pytest.raises(UserError, match=says):
    rnn_seq2seq.make(VOCAB, **words)
