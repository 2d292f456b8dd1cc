"""Activations at block boundaries: split over the batch when a mesh is set."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from vitlab.layers.sharding import apply_split, constrain_batch, parameters_are_whole, whole


def placed(x, shape, names):
  mesh = jax.make_mesh(shape, names, axis_types=(jax.sharding.AxisType.Auto,) * len(names))
  with jax.set_mesh(mesh):
    return jax.jit(lambda x: constrain_batch(x * 2))(x).sharding.spec


def test_the_batch_is_split_over_data_and_fsdp():
  assert placed(jnp.ones((8, 3)), (2, 2, 2), ('data', 'fsdp', 'model')) == P(('data', 'fsdp'))
  assert placed(jnp.ones((8, 3)), (4, 2), ('data', 'model')) in (P('data'), P(('data',)))


def test_a_batch_that_does_not_divide_is_left_alone():
  assert placed(jnp.ones((3, 3)), (2, 2, 2), ('data', 'fsdp', 'model')) == P()


def test_nothing_happens_without_a_mesh():
  assert 'sharding' not in str(jax.make_jaxpr(constrain_batch)(jnp.ones((8, 3))))


def test_parameters_are_whole_unless_an_axis_splits_them():
  def whole(data, fsdp, model):
    names = ('data', 'fsdp', 'model')
    mesh = jax.make_mesh((data, fsdp, model), names, axis_types=(jax.sharding.AxisType.Auto,) * 3)
    with jax.set_mesh(mesh):
      return parameters_are_whole()

  assert parameters_are_whole() and whole(8, 1, 1)
  assert not whole(2, 4, 1) and not whole(4, 1, 2)


def test_a_product_with_a_split_kernel_is_that_with_a_whole_one():
  x, kernel = jax.random.normal(jax.random.key(0), (8, 4)), jnp.arange(32.0).reshape(4, 8)

  def loss(x, kernel):
    return jnp.sum(jnp.sin(apply_split(jnp.matmul, x, kernel)))

  alone = jax.value_and_grad(loss, (0, 1))(x, kernel)
  mesh = jax.make_mesh((2, 4), ('data', 'fsdp'), axis_types=(jax.sharding.AxisType.Auto,) * 2)
  kernel = jax.device_put(kernel, jax.NamedSharding(mesh, P('fsdp')))
  with jax.set_mesh(mesh):
    split = jax.jit(jax.value_and_grad(loss, (0, 1)))(x, kernel)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), split, alone)


def test_alone_there_is_no_trace_of_it():
  def function(x, kernel):
    return apply_split(jnp.matmul, x, whole(kernel))

  x = jnp.ones((8, 8))
  assert str(jax.make_jaxpr(function)(x, x)) == str(jax.make_jaxpr(jnp.matmul)(x, x))
