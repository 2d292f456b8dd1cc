"""A fingerprint of a tree of arrays that does not depend on how they are sharded.

Checkpoint storage verifies its index, not the numbers: a flipped bit inside an array file is
restored without an error. The fingerprint is computed on the devices before a save, kept beside the
arrays and computed again after a restore.

Every 32-bit word u_i of an array (row-major position i) is mixed with its position and summed:

  F = sum_i mix(u_i + i * 0x9e3779b1)  mod 2^32

with mix the finaliser of MurmurHash3, a bijection: a change within one word changes F for certain,
any other change with probability 1 - 2^-32. Addition modulo 2^32 is associative, so every order of
summation, thus every mesh, gives the same F, bit for bit.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_GOLDEN = 0x9E3779B1  # 2^32 / golden ratio, odd: spreads neighbouring positions
_SMALL = 2**18  # bytes


class Leaf(NamedTuple):
  """What one array is: its type, its shape and the fingerprint of its values (hexadecimal)."""

  dtype: str
  shape: tuple[int, ...]
  value: str


def path_name(path: tuple[Any, ...]) -> str:
  """A key path of `jax.tree` as text: ('variables', 'model', 0) is 'variables/model/0'."""
  return '/'.join(jax.tree_util.keystr((key,), simple=True) for key in path)


def named_leaves(tree: Any) -> dict[str, Any]:
  """The leaves of a tree by name, in the order of `jax.tree.leaves`."""
  return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def leaves(tree: Any) -> dict[str, Leaf]:
  """The fingerprint of every leaf by name, computed where the arrays are.

  Args:
    tree: arrays of any type (also 64-bit, sub-byte, complex and keys), any sharding, zero size
      included. Python numbers count as the arrays that JAX makes of them.
  """
  named = {name: _as_array(leaf) for name, leaf in named_leaves(tree).items()}
  # Small arrays are cheaper to fetch than to compile for. Large ones stay: one program per shape
  # and sharding, not one per tree, which takes twice the time to compile.
  totals = {name: _jitted_sum(x) for name, x in named.items() if not _is_small(x)}
  fetched = jax.device_get({name: x for name, x in named.items() if name not in totals})
  totals = jax.device_get(totals) | {name: _numpy_sum(x) for name, x in fetched.items()}
  return {name: _leaf(array, totals[name]) for name, array in named.items()}


def numpy_leaves(tree: Any) -> dict[str, Leaf]:
  """`leaves` computed by NumPy on the host: the same values from independent code."""
  named = {name: np.asarray(leaf) for name, leaf in named_leaves(tree).items()}
  return {name: _leaf(array, _numpy_sum(array)) for name, array in named.items()}


def combine(fingerprints: Mapping[str, Leaf]) -> str:
  """One fingerprint (16 hexadecimal digits) of names, types, shapes and values together."""
  digest = hashlib.blake2b(digest_size=8)
  for name in sorted(fingerprints):
    dtype, shape, value = fingerprints[name]
    digest.update(f'{name} {dtype} {tuple(shape)} {value}\n'.encode())
  return digest.hexdigest()


def fingerprint(tree: Any) -> str:
  """One fingerprint (16 hexadecimal digits) of a whole tree, see `leaves` and `combine`."""
  return combine(leaves(tree))


def _as_array(leaf: Any) -> Any:
  return leaf if isinstance(leaf, (jax.Array, np.ndarray)) else jnp.asarray(leaf)


def _is_small(x: Any) -> bool:
  whole = isinstance(x, np.ndarray) or x.is_fully_addressable
  return whole and x.nbytes <= _SMALL and not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _leaf(array: Any, total: Any) -> Leaf:
  return Leaf(str(array.dtype), tuple(array.shape), f'{int(total):08x}')


def _mix(u: Any, constant: Callable[[int], Any]) -> Any:
  """fmix32 of MurmurHash3 on uint32 words of either library."""
  u = (u ^ (u >> constant(16))) * constant(0x85EBCA6B)
  u = (u ^ (u >> constant(13))) * constant(0xC2B2AE35)
  return u ^ (u >> constant(16))


def _bits(dtype: Any) -> int:
  return (jnp.finfo if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo)(dtype).bits


def _words(x: jax.Array) -> jax.Array:
  """The array as uint32 words: one per element, several in a trailing axis for wider types."""
  if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
    x = jax.random.key_data(x)
  if x.dtype == jnp.bool_:
    return x.astype(jnp.uint32)
  if jnp.issubdtype(x.dtype, jnp.complexfloating):
    parts = jnp.stack([_words(x.real), _words(x.imag)], axis=x.ndim)
    return parts.reshape(*x.shape, -1)
  bits = _bits(x.dtype)
  word = jnp.uint32 if bits >= 32 else jnp.dtype(f'uint{bits}')
  return jax.lax.bitcast_convert_type(x, word).astype(jnp.uint32)


def _sum(x: jax.Array) -> jax.Array:
  words = _words(x)
  positions, stride = jnp.zeros(words.shape, jnp.uint32), 1
  for axis in reversed(range(words.ndim)):
    # An iota per axis instead of a reshape: a reshape would move sharded arrays between devices.
    along = jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
    positions += along * jnp.uint32(stride & 0xFFFFFFFF)
    stride *= words.shape[axis]
  return jnp.sum(_mix(words + positions * jnp.uint32(_GOLDEN), jnp.uint32), dtype=jnp.uint32)


_jitted_sum = jax.jit(_sum)


def _numpy_words(x: np.ndarray) -> np.ndarray:
  if x.dtype == np.bool_ or x.dtype.itemsize < 4:
    bits = 8 if x.dtype == np.bool_ else _bits(x.dtype)
    words = x.reshape(-1).view(f'u{x.dtype.itemsize}').astype(np.uint32)
    return words & np.uint32((1 << bits) - 1)  # sub-byte types are stored sign-extended
  return np.ascontiguousarray(x).reshape(-1).view('<u4')


def _numpy_sum(x: np.ndarray) -> int:
  words = _numpy_words(x)
  positions = np.arange(words.size, dtype=np.uint64).astype(np.uint32)
  mixed = _mix(words + positions * np.uint32(_GOLDEN), np.uint32)
  return int(np.sum(mixed, dtype=np.uint64)) & 0xFFFFFFFF
