"""States as the engine has them, on any mesh, and damage to what was stored of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec


class State(NamedTuple):
  """The shape of the state of `vitlab.train.step`, without its imports."""

  step: Any
  variables: Any
  opt_state: Any
  ema: Any


def make_state(step, width=8, dtype=jnp.float32):
  """A small state whose values depend on `step`, with leaves of several types and of zero size."""
  values = np.random.default_rng(step)
  params = {
    'dense': {
      'kernel': jnp.asarray(values.normal(size=(width, 16)), dtype),
      'bias': jnp.asarray(values.normal(size=16), jnp.bfloat16),
    },
    'empty': jnp.zeros((0, 4), jnp.float32),
  }
  tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
  variables = {'model': {'params': params, 'batch_stats': {}}}
  return State(jnp.int32(step), variables, {'model': tx.init(params)}, {})


def mesh(count, names=('data',), shape=None):
  """A mesh of the first `count` devices."""
  devices = np.asarray(jax.devices()[:count]).reshape(shape or (count,))
  return jax.sharding.Mesh(devices, names)


def abstract(state, mesh, spec=None):
  """The state's shapes on a mesh, the kernels split by `spec`."""

  def leaf(x):
    parts = spec if spec and x.ndim == 2 and x.size else ()
    return jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=NamedSharding(mesh, PartitionSpec(*parts))
    )

  return jax.tree.map(leaf, state)


def here(state):
  """The state's shapes on one device."""
  return abstract(state, mesh(1))


def place(state, mesh, spec):
  """The state on a mesh, see `abstract`."""
  shardings = jax.tree.map(lambda a: a.sharding, abstract(state, mesh, spec))
  return jax.device_put(state, shardings)


def flip(path, bit):
  """Flips one bit of a file."""
  content = bytearray(path.read_bytes())
  content[bit // 8 % len(content)] ^= 1 << bit % 8
  path.write_bytes(content)


def array_file(folder):
  """The file that holds the arrays of a step: the largest one."""
  return max(folder.rglob('*'), key=lambda p: p.stat().st_size if p.is_file() else 0)
