"""The fingerprint: the same on every mesh and in NumPy, different after any damage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from vitlab.workdir import fingerprint

_TYPES = [
  'bool',
  'int4',
  'uint4',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'float8_e4m3fn',
  'float16',
  'bfloat16',
  'float32',
  'complex64',
]
_WIDE_TYPES = ('int64', 'uint64', 'float64', 'complex128')


def _array(dtype, shape=(3, 4, 8)):
  bits = np.random.default_rng(0).integers(0, 2**16, size=shape)
  return jnp.asarray(bits % 2 if dtype == 'bool' else bits % 8 + 0.3).astype(dtype)


@pytest.fixture(autouse=True)
def on_the_device(monkeypatch):
  """Also for arrays that are small enough for the host."""
  monkeypatch.setattr(fingerprint, '_SMALL', -1)


@pytest.mark.parametrize('dtype', _TYPES)
def test_equals_numpy(dtype):
  array = _array(dtype)
  assert fingerprint.leaves(array) == fingerprint.numpy_leaves(array)


@pytest.mark.parametrize('dtype', _WIDE_TYPES)
def test_equals_numpy_for_64_bit(dtype, x64):
  array = _array(dtype)
  assert array.dtype == dtype
  assert fingerprint.leaves(array) == fingerprint.numpy_leaves(array)


def test_small_arrays_give_the_same_on_the_host(monkeypatch):
  tree = {dtype: _array(dtype) for dtype in _TYPES} | {'key': jax.random.key(0), 'number': 2.5}
  on_the_device = fingerprint.leaves(tree)
  monkeypatch.setattr(fingerprint, '_SMALL', 2**18)
  assert fingerprint.leaves(tree) == on_the_device


def test_is_the_formula():
  def mix(u):
    u ^= u >> 16
    u = u * 0x85EBCA6B % 2**32
    u ^= u >> 13
    u = u * 0xC2B2AE35 % 2**32
    return u ^ u >> 16

  words = [5, 0, 2**32 - 1]
  expected = sum(mix((u + i * 0x9E3779B1) % 2**32) for i, u in enumerate(words)) % 2**32
  leaf = fingerprint.leaves(jnp.asarray(words, jnp.uint32))['']
  assert leaf == fingerprint.Leaf('uint32', (3,), f'{expected:08x}')


@pytest.mark.parametrize('spec', [(), ('a',), (None, 'a'), ('a', 'b'), (('a', 'b'),), (None, 'b')])
@pytest.mark.parametrize('shape', [(8, 1), (4, 2), (2, 4), (1, 1)])
def test_does_not_depend_on_the_sharding(spec, shape):
  devices = np.asarray(jax.devices()[: shape[0] * shape[1]]).reshape(shape)
  mesh = jax.sharding.Mesh(devices, ('a', 'b'))
  array = _array('bfloat16', (8, 16))
  sharded = jax.device_put(array, NamedSharding(mesh, PartitionSpec(*spec)))
  assert fingerprint.leaves(sharded) == fingerprint.numpy_leaves(array)


def test_every_single_bit_flip_changes_it():
  array = np.asarray(_array('float32', (2, 3)))
  seen = {fingerprint.fingerprint(array)}
  for bit in range(array.size * 32):
    flipped = array.copy().reshape(-1).view(np.uint32)
    flipped[bit // 32] ^= np.uint32(1 << bit % 32)
    seen.add(fingerprint.fingerprint(flipped.view(np.float32).reshape(array.shape)))
  assert len(seen) == array.size * 32 + 1


def test_two_flipped_signs_and_a_transposition_change_it():
  array = np.asarray(_array('float32', (4, 4)))
  signs = array.copy()
  signs[1:3, 2] *= -1  # the case in which a plain weighted sum of the words stays the same
  values = [fingerprint.fingerprint(x) for x in (array, signs, array.T)]
  assert len(set(values)) == 3


def test_names_types_and_shapes_count():
  zeros = np.zeros(4, np.float32)
  trees = [
    {'a': zeros},
    {'b': zeros},
    {'a': zeros.astype(np.int32)},
    {'a': zeros.reshape(2, 2)},
    {'a': zeros, 'b': zeros},
    {'a': np.zeros((0, 3), np.float32)},
    {},
  ]
  assert len({fingerprint.fingerprint(tree) for tree in trees}) == len(trees)


def test_keys_and_python_numbers():
  key = jax.random.key(7)
  leaves = fingerprint.leaves({'key': key, 'number': 3})
  assert leaves['key'].value == fingerprint.leaves(jax.random.key_data(key))[''].value
  assert leaves['key'].dtype == 'key<fry>'
  assert leaves['number'] == fingerprint.leaves(jnp.int32(3))['']


def test_names_are_paths():
  tree = {'model': {'params': [jnp.zeros(2), jnp.zeros(3)]}}
  assert list(fingerprint.leaves(tree)) == ['model/params/0', 'model/params/1']
