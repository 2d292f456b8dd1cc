"""RNN sequence to sequence: the numbers of a plain torch loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity, torch_seq2seq
from _helpers.sentences import INPUTS, TOKENS, VOCAB

from vitlab.errors import UserError
from vitlab.models import rnn_seq2seq

WIDTH = 6
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


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: '-'.join(map(str, kind)))
def test_equals_a_plain_torch_loop(kind, x64):
  oracle = parity.perturb(torch_seq2seq.Seq2Seq(VOCAB, WIDTH, *kind))
  expected = oracle(*(torch.tensor(np.array(x)).long() for x in (TOKENS, INPUTS)))
  weights = parity.projection(expected.shape)
  (expected * torch.tensor(weights)).sum().backward()
  model, params = make(kind, dtype='float64'), torch_seq2seq.to_ours(oracle)
  params = jax.tree.map(jnp.asarray, params)

  def run(params):
    logits, _ = model.apply({'params': params}, TOKENS, INPUTS)
    return (logits * weights).sum(), logits

  (_, logits), gradients = jax.jit(jax.value_and_grad(run, has_aux=True))(params)
  assert parity.error(logits, expected.detach().numpy()) < 1e-12
  assert parity.error(gradients, torch_seq2seq.to_ours(oracle, gradients=True)) < 1e-11


def test_an_lstm_starts_to_remember():
  model = make(KINDS[1])
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
