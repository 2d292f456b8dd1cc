"""Recurrent layers equal torch's on packed sequences, value and gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity, torch_seq2seq
from torch.nn.utils import rnn

from vitlab.errors import UserError
from vitlab.layers.recurrent import CELLS, RecurrentStack, make_cell

WIDTH, LENGTHS = 5, (4, 1, 3)
MASK = np.arange(6) < np.array(LENGTHS)[:, None]


def ours(cell, bidirectional):
  return RecurrentStack([make_cell(cell, WIDTH, jnp.float64)] * 2, bidirectional)


@pytest.mark.parametrize('bidirectional', [False, True], ids=['forwards', 'both'])
@pytest.mark.parametrize('cell', CELLS)
def test_equals_torch_on_packed_sequences(cell, bidirectional, x64):
  x = np.random.default_rng(0).normal(size=(3, 6, WIDTH))
  layers = torch_seq2seq.LAYERS[cell]
  oracle = parity.perturb(layers(WIDTH, WIDTH, 2, bidirectional=bidirectional, batch_first=True))
  packed = rnn.pack_padded_sequence(torch.tensor(x), LENGTHS, True, enforce_sorted=False)
  shown, last = oracle(packed)
  expected, _ = rnn.pad_packed_sequence(shown, batch_first=True, total_length=6)
  last = [s.reshape(2, -1, *s.shape[1:]) for s in (last if isinstance(last, tuple) else [last])]
  last = [torch.cat(list(s.moveaxis(1, 0)), -1) for s in last]  # [layer b, directions · d]
  weights = parity.projection(expected.shape)
  ends = [parity.projection(s.shape) for s in last]
  total = (expected * torch.tensor(weights)).sum()
  (total + sum((s * torch.tensor(w)).sum() for s, w in zip(last, ends))).backward()

  def run(params):
    shown, states = ours(cell, bidirectional).apply({'params': params}, x, jnp.asarray(MASK))
    states = [jnp.stack(part) for part in zip(*states)]
    total = (shown * weights).sum() + sum((s * w).sum() for s, w in zip(states, ends))
    return total, (shown, states)

  x = jnp.asarray(x)
  params = jax.tree.map(jnp.asarray, torch_seq2seq.encoder_to_ours(oracle, cell))
  (_, (shown, states)), gradients = jax.jit(jax.value_and_grad(run, has_aux=True))(params)
  assert parity.error(shown, expected.detach().numpy()) < 1e-13
  assert parity.error(states, [s.detach().numpy() for s in last]) < 1e-13
  expected = torch_seq2seq.encoder_to_ours(oracle, cell, gradients=True)
  assert parity.error(gradients, expected) < 1e-12


def test_nothing_comes_out_of_padding_and_nothing_goes_in(x64):
  x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6, WIDTH)))
  stack, mask = ours('lstm', True), jnp.asarray(MASK)
  variables = jax.jit(stack.init)(jax.random.key(0), x, mask)
  apply = jax.jit(stack.apply)
  shown, states = apply(variables, x, mask)
  assert not np.any(np.where(MASK[..., None], 0, shown))
  noisy = apply(variables, jnp.where(mask[..., None], x, 9.0), mask)
  assert parity.error((shown, states), noisy) == 0


def test_an_unknown_cell_is_refused():
  with pytest.raises(UserError, match='did you mean gru'):
    make_cell('gur', 3)
