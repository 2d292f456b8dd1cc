"""The adaptive softmax against that of torch; the vectors it shares with its inputs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from vitlab.layers.adaptive import AdaptiveEmbed

VOCAB, WIDTH, CUTOFFS = 14, 8, (5, 9)
X = np.random.default_rng(0).normal(size=(3, 2, WIDTH))
TOKENS = np.arange(VOCAB).reshape(2, 7)


def made(div_val, cutoffs=CUTOFFS):
  """The layer, and its parameters, all of them random."""
  model = AdaptiveEmbed(VOCAB, WIDTH, cutoffs, div_val, jnp.float64)
  both = lambda model: (model(jnp.asarray(TOKENS)), model.logits(jnp.asarray(X)))  # noqa: E731
  variables = jax.eval_shape(partial(model.init, method=both), jax.random.key(0))
  random = np.random.default_rng(1)
  return model, jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.5, x.shape)), variables)


def of_torch(params, div_val):
  """The same of torch, which has no biases in clusters and projects no shortlist."""
  oracle = torch.nn.AdaptiveLogSoftmaxWithLoss(WIDTH, VOCAB, [*CUTOFFS], div_val, head_bias=True)
  tensor = lambda x: torch.tensor(np.asarray(x))  # noqa: E731
  tables = [params[f'table_{i}'] for i in range(1 if div_val == 1 else 3)]
  matrices, biases = ([table[name] for table in tables] for name in ('embedding', 'bias'))
  if div_val == 1:
    matrices, biases = (jnp.split(x[0], CUTOFFS) for x in (matrices, biases))
  head = jnp.concatenate([matrices[0], params['clusters']['kernel'].T])
  state = {
    'head.weight': tensor(head),
    'head.bias': tensor(jnp.concatenate([biases[0], params['clusters']['bias']])),
  }
  for i in (1, 2):
    state[f'tail.{i - 1}.0.weight'] = tensor(
      params[f'projection_{i}'] if div_val > 1 else np.eye(8)
    )
    state[f'tail.{i - 1}.1.weight'] = tensor(matrices[i])
  oracle.double().load_state_dict(state)
  return oracle.log_prob(torch.tensor(X.reshape(-1, WIDTH))).detach().numpy()


@pytest.mark.parametrize('div_val', [1, 2])
def test_log_probabilities_are_those_of_torch(div_val, x64):
  model, variables = made(div_val)
  params = variables['params']
  if div_val > 1:
    params['head_projection'] = jnp.eye(WIDTH)
    for i in (1, 2):
      params[f'table_{i}']['bias'] *= 0
  else:
    params['table_0']['bias'] = params['table_0']['bias'].at[CUTOFFS[0] :].set(0)
  found = model.apply(variables, jnp.asarray(X), method='logits')
  np.testing.assert_allclose(found.reshape(-1, VOCAB), of_torch(params, div_val), rtol=1e-12)


@pytest.mark.parametrize('cutoffs', [(), CUTOFFS])
@pytest.mark.parametrize('div_val', [1, 2])
def test_probabilities_sum_to_one_and_every_parameter_counts(div_val, cutoffs, x64):
  model, variables = made(div_val, cutoffs)

  def total(variables):
    logits = model.apply(variables, jnp.asarray(X), method='logits')
    vectors = model.apply(variables, jnp.asarray(TOKENS))
    return (logits[..., ::3] ** 2).sum() + (vectors**2).sum(), (logits, vectors)

  grads, (logits, vectors) = jax.jit(jax.grad(total, has_aux=True))(variables)
  np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1, rtol=1e-12)
  assert vectors.shape == (2, 7, WIDTH) and logits.shape == (3, 2, VOCAB)
  assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))


def test_tokens_of_each_cluster_have_the_vectors_of_its_table(x64):
  model, variables = made(2)
  params, found = (
    variables['params'],
    model.apply(variables, jnp.asarray(TOKENS)).reshape(VOCAB, WIDTH),
  )
  assert [params[f'table_{i}']['embedding'].shape for i in range(3)] == [(5, 8), (4, 4), (5, 2)]
  wanted = [params[f'table_{i}']['embedding'] @ params[f'projection_{i}'] for i in range(3)]
  np.testing.assert_allclose(found, np.concatenate(wanted), rtol=1e-12)
