"""What a backward pass computes a second time, so that nobody has to keep the first."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.interpreters.ad import Zero
from jaxtyping import Array, Float


def bound(x: Float[Array, '...'], gradient: Float[Array, '...']) -> Float[Array, '...']:
  """x itself, to a compiler unknown before the gradient is: what follows from x is computed again.

  XLA's CPU compiler drops optimization barriers. It then takes a second computation for the first,
  and keeps that one's result, or runs the second long before it is needed. 0 · gradient it cannot
  drop, for it might be NaN. Where the gradient is not finite x is NaN, and so is all that follows.

  Args:
    x: What the backward pass has kept.
    gradient: What it has just received, of a shape that broadcasts to that of x.
  """
  return x + 0 * gradient.astype(x.dtype)


def checkpoint(
  function: Callable[..., Any], policy: Callable[..., Any], prevent_cse: bool = True
) -> Callable[..., Any]:
  """`jax.checkpoint`, which by itself does nothing on a CPU (findings/jax_checkpoint_on_cpu.sh).

  There what is kept is bound to the first gradient that comes back, but for arguments that the
  function was given behind the first: parameters, which enter matrix products as they are.

  Args:
    function: Of the activations and of other arrays; closed over no array.
    policy: What is kept, see `jax.checkpoint_policies`.
    prevent_cse: Whether the recomputation could be taken for the first computation; inside a loop
      it cannot.
  """
  light = jax.checkpoint(function, policy=policy, prevent_cse=prevent_cse)
  if jax.default_backend() != 'cpu' or not prevent_cse:
    return light

  @jax.custom_vjp
  def run(*args):
    return light(*args)

  def forward(*args):
    args = jax.tree.map(lambda given: given.value, args, is_leaf=lambda x: hasattr(x, 'perturbed'))
    out, backward = jax.vjp(light, *args)
    leaves, tree = jax.tree.flatten(backward)
    weights = {id(leaf) for leaf in jax.tree.leaves(args[1:])}
    return out, _Kept(leaves, tuple(_is_float(x) and id(x) not in weights for x in leaves), tree)

  def backward(kept, gradients):
    gradients = jax.tree.map(_zero, gradients, is_leaf=lambda x: isinstance(x, SymbolicZero))
    first = next(x for x in jax.tree.leaves(gradients) if isinstance(x, jax.Array))
    number = first.ravel()[0]
    late = [bound(x, number) if binds else x for x, binds in zip(kept.leaves, kept.binds)]
    return jax.tree.unflatten(kept.tree, late)(gradients)

  run.defvjp(forward, backward, symbolic_zeros=True)
  return run


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class _Kept:
  """What a function keeps for its gradient.

  Attributes:
    leaves: Arrays: what it made, and its arguments.
    binds: Which of them are bound to the gradient.
    tree: What they are the leaves of: the backward pass.
  """

  leaves: list[Any]
  binds: tuple[bool, ...] = dataclasses.field(metadata=dict(static=True))
  tree: Any = dataclasses.field(metadata=dict(static=True))


def _zero(gradient: Any) -> Any:
  """A gradient known to be zero, as transposition wants it: of what it is, nothing is computed."""
  return Zero(gradient.aval) if isinstance(gradient, SymbolicZero) else gradient


def _is_float(x: Any) -> bool:
  return jnp.issubdtype(x.dtype, jnp.floating)
