"""A recurrent language model against torch's cells, and what its state must and must not change."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vitlab.errors import UserError
from vitlab.models import rnn_lm

VOCAB, T = 11, 12
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, T), dtype=np.int32)
TORCH = dict(lstm=torch.nn.LSTM, gru=torch.nn.GRU, rnn=torch.nn.RNN)


def make(cell='lstm', **words):
  return rnn_lm.make(VOCAB, 'mu', cell=cell, **dict(dropout_rate=0.0) | words)


def perturbed(model, dtype=np.float32):
  variables = jax.jit(model.init)(jax.random.key(0), TOKENS)
  random = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: (x + random.normal(0, 0.3, x.shape)).astype(dtype), {'params': variables['params']}
  )


def theirs(cell, params):
  """torch's layers with our parameters; their second bias stays zero but for a GRU's new gate."""
  module = TORCH[cell](16, 16, num_layers=2, batch_first=True).double()
  state = {name: torch.zeros_like(x) for name, x in module.state_dict().items()}
  for i in range(2):
    layer = params['layers'][f'layer_{i}_forward']
    flat = lambda kernel: torch.tensor(np.asarray(kernel).reshape(16, -1).T)  # noqa: E731
    state[f'weight_ih_l{i}'] = flat(layer['input']['kernel'])
    state[f'weight_hh_l{i}'] = flat(layer['cell']['hidden']['kernel'])
    state[f'bias_ih_l{i}'] = torch.tensor(np.asarray(layer['input']['bias']).reshape(-1))
    if cell == 'gru':
      state[f'bias_hh_l{i}'][32:] = torch.tensor(np.asarray(layer['cell']['hidden_bias']))
  module.load_state_dict(state)
  return module


@pytest.mark.parametrize('cell', TORCH)
def test_logits_and_gradients_are_those_of_torch(cell):
  with jax.enable_x64(True):
    model = make(cell, dtype='float64')
    params = perturbed(model, np.float64)['params']
    weights = np.random.default_rng(1).normal(size=(2, T, VOCAB))
    loss = lambda p: (model.apply({'params': p}, jnp.asarray(TOKENS))[0] * weights).sum()  # noqa: E731
    logits = model.apply({'params': params}, jnp.asarray(TOKENS))[0]
    gradient = jax.grad(loss)(params)
  module = theirs(cell, params)
  table = torch.tensor(np.asarray(params['token_embedding']['embedding'])).requires_grad_()
  bias = torch.tensor(np.asarray(params['token_embedding']['bias']))
  wanted = module(table[torch.tensor(TOKENS).long()])[0] @ table.T + bias
  np.testing.assert_allclose(logits, wanted.detach().numpy(), atol=1e-12)
  (wanted * torch.tensor(weights)).sum().backward()
  np.testing.assert_allclose(
    gradient['token_embedding']['embedding'], table.grad.numpy(), atol=1e-10
  )
  for i in range(2):
    kernel = gradient['layers'][f'layer_{i}_forward']['cell']['hidden']['kernel']
    wanted = getattr(module, f'weight_hh_l{i}').grad.numpy()
    np.testing.assert_allclose(kernel.reshape(16, -1).T, wanted, atol=1e-10)


@pytest.mark.parametrize('cell', TORCH)
def test_token_by_token_is_the_whole_row(cell):
  model = make(cell)
  variables = perturbed(model)
  whole = model.apply(variables, jnp.asarray(TOKENS))[0]
  state, found = model.start(2), []
  for part in (TOKENS[:, :5], TOKENS[:, 5:6], TOKENS[:, 6:]):
    logits, state = model.apply(variables, state, jnp.asarray(part), method='step')
    found.append(logits)
  np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=1e-5)


def test_training_goes_on_where_the_batch_before_ended():
  model = make(remember=True)
  variables = perturbed(model)
  memory = jax.jit(model.init)(jax.random.key(0), TOKENS[:, :4])['memory']
  assert memory['states'].shape == (2, 2, 2, 16) and not memory['states'].any()
  step, found = jax.jit(partial(model.apply, train=True, mutable=['memory'])), []
  for part in np.split(TOKENS, 3, axis=1):
    (logits, _), mutated = step({**variables, 'memory': memory}, part)
    memory = mutated['memory']
    found.append(logits)
  whole = model.apply(variables, jnp.asarray(TOKENS))[0]
  np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=1e-5)
  # The same rows from nothing are something else, and without a memory nothing is kept.
  alone = model.apply(variables, jnp.asarray(TOKENS[:, 8:]))[0]
  assert float(np.abs(alone - whole[:, 8:]).max()) > 0.1
  assert 'memory' not in make().init(jax.random.key(0), jnp.asarray(TOKENS))


def test_no_gradient_goes_into_the_batch_before():
  model = make(remember=True)
  variables = perturbed(model)
  apply = partial(model.apply, train=True, mutable=['memory'])

  def second(params, first):
    """The second batch's logits: of its own parameters alone the gradient may know."""
    memory = apply({'params': first, 'memory': start}, jnp.asarray(TOKENS[:, :6]))[1]['memory']
    return apply({'params': params, 'memory': memory}, jnp.asarray(TOKENS[:, 6:]))[0][0].sum()

  start = model.init(jax.random.key(0), jnp.asarray(TOKENS))['memory']
  gradient = jax.jit(jax.grad(second, argnums=1))(variables['params'], variables['params'])
  assert not any(np.any(x) for x in jax.tree.leaves(gradient))


def test_rows_of_several_documents_are_refused():
  model = make()
  with pytest.raises(UserError, match=r'leave out data\.pack'):
    model.apply(perturbed(model), jnp.asarray(TOKENS), segments=jnp.asarray(TOKENS))


def test_a_cell_that_there_is_not_is_named():
  with pytest.raises(UserError, match='possible are gru, lstm, rnn'):
    make('lstn')
