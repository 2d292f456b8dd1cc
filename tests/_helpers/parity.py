"""The protocol of numerical parity with a torch model, in float64.

1. Perturb every parameter of the oracle, so that nothing is hidden by a zero or a one.
2. Move its weights with vitlab's public importer.
3. Compare the logits, every block's output, and the gradient of a random functional of the logits
   for every parameter.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch


class Results(NamedTuple):
  logits: np.ndarray
  blocks: list[np.ndarray]
  grads: dict  # the oracle's names, or our tree


def perturb(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
  """Random float64 parameters of every kind, in evaluation mode."""
  generator = torch.Generator().manual_seed(seed)
  module = module.double().eval()
  with torch.no_grad():
    for parameter in module.parameters():
      noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
      matrix = parameter.ndim in (2, 4)
      fan_in = parameter[0].numel()
      parameter.add_(noise * (0.5 / fan_in**0.5 if matrix else 0.3))
  return module


def image(shape=(2, 16, 24, 3), seed: int = 1) -> np.ndarray:
  return np.random.default_rng(seed).normal(size=shape)


def projection(shape, seed: int = 2) -> np.ndarray:
  return np.random.default_rng(seed).normal(size=shape)


def oracle(module: torch.nn.Module, blocks, picture: np.ndarray, logits=lambda y: y) -> Results:
  """Runs a torch model; `blocks` are its modules whose outputs are compared."""
  outputs = []
  for block in blocks:
    block.register_forward_hook(
      lambda _, __, y: outputs.append((y[0] if isinstance(y, tuple) else y).detach().numpy())
    )
  result = logits(module(torch.tensor(picture.transpose(0, 3, 1, 2))))
  (result * torch.tensor(projection(result.shape))).sum().backward()
  grads = {name: p.grad for name, p in module.named_parameters()}
  return Results(result.detach().numpy(), outputs, grads)


def ours(model, params, picture: np.ndarray) -> Results:
  """Runs a vitlab model with `out['blocks'][i]['tokens']`."""

  @jax.jit
  def run(params, picture):
    def functional(params):
      logits, out = model.apply({'params': params}, picture)
      blocks = [block['tokens'] for block in out['blocks']]
      return (logits * projection(logits.shape)).sum(), (logits, blocks)

    (_, aux), grads = jax.value_and_grad(functional, has_aux=True)(params)
    return *aux, grads

  return Results(*run(params, jnp.asarray(picture)))


def abstract(model, picture: np.ndarray):
  """The shapes of a model's parameters, in float64 so that weights keep their digits."""
  variables = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(picture))
  double = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64)  # noqa: E731
  return jax.tree.map(double, variables['params'])


def error(a, b) -> float:
  """Largest absolute difference between two trees of arrays of the same structure."""
  differences = jax.tree.map(lambda x, y: np.abs(np.asarray(x) - np.asarray(y)).max(), a, b)
  return max(jax.tree.leaves(differences))
