"""Where activations lie when a mesh is set."""

import math
from collections.abc import Callable
from functools import partial

import jax
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Shaped

BATCH_AXES = ('data', 'fsdp')
# Of what `apply_split` gives: rematerialisation does not see the matmul inside.
PRODUCT = 'product'


def parameters_are_whole() -> bool:
  """Whether every device of the mesh that is set holds all parameters; True when none is set."""
  mesh = jax.sharding.get_abstract_mesh()
  return all(size == 1 for axis, size in mesh.shape.items() if axis != 'data')


def constrain_batch(x: Shaped[Array, 'b ...']) -> Shaped[Array, 'b ...']:
  """Splits the batch over the mesh axes data and fsdp and nothing else.

  Without it XLA moves activations instead of parameters under fully sharded training: ten times
  the traffic. Does nothing when no mesh is set (`jax.set_mesh`) or the batch does not divide.
  """
  mesh = jax.sharding.get_abstract_mesh()
  axes = tuple(axis for axis in BATCH_AXES if axis in mesh.axis_names)
  size = math.prod(mesh.shape[axis] for axis in axes)
  if size == 1 or x.shape[0] % size:
    return x
  return jax.lax.with_sharding_constraint(x, P(axes))


def whole(x: Shaped[Array, '...']) -> Shaped[Array, '...']:
  """x, which has no batch, and its gradient on every device; does nothing where parameters are."""
  return x if parameters_are_whole() else jax.lax.with_sharding_constraint(x, P())


def apply_split(
  function: Callable[[Array, Array], Array],
  x: Shaped[Array, '...'],
  kernel: Shaped[Array, '...'],
  parallel: bool = False,
) -> Shaped[Array, '...']:
  """function(x, kernel), for which the kernel is gathered, and gathered again for the gradient.

  XLA alone keeps the whole kernels of all layers from the forward to the backward pass. Where
  nothing is split this is just the function, which forward-mode differentiation then goes through.

  Args:
    function: Linear in the kernel.
    x: Activations, or what is looked up.
    kernel: In the dtype it is used in: what is cast first is sent in fewer bytes.
    parallel: Whether tensor parallelism splits the kernel by heads or hidden units. If not it is
      brought together explicitly, or XLA may do it along the idle axis `model`, or move the rows
      of a table for every example.
  """
  if parameters_are_whole():
    return function(x, kernel)
  return checkpoint_name(_applied(function, parallel, x, kernel), PRODUCT)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _applied(function, parallel, x, kernel):
  return function(x, kernel if parallel else whole(kernel))


def _forward(function, parallel, x, kernel):
  return _applied(function, parallel, x, kernel), (x, kernel)


def _backward(function, parallel, residuals, dy):
  x, kernel = residuals
  # Behind a barrier it is not what was gathered for the forward pass.
  kernel = jax.lax.optimization_barrier(kernel)
  return jax.vjp(function, x, kernel if parallel else whole(kernel))[1](dy)


_applied.defvjp(_forward, _backward)
