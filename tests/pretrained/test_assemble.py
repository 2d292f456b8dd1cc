"""Filling a tree from named tensors; what does not fit is named, shortly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.pretrained._assemble import assemble

LIKE = {'a': {'x': jax.ShapeDtypeStruct((2,), jnp.float32)}}


def fill(like, tensors):
  return assemble(like, tensors, lambda path: [path], lambda path, arrays, shape: arrays[0])


def test_takes_the_types_of_the_model():
  params = fill(LIKE, {'a/x': np.ones(2, np.float16)})
  assert params['a']['x'].dtype == jnp.float32
  np.testing.assert_array_equal(params['a']['x'], 1)


def test_many_problems_are_counted_not_listed():
  like = {f'p{i}': jnp.ones(2) for i in range(9)}
  with pytest.raises(UserError, match='missing: p0, p1, p2, p3, p4, p5 and 3 more\nunused: q'):
    fill(like, {'q': np.ones(2)})
