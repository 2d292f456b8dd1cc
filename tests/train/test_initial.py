"""The state before the first step, with loaded variables in their places."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.train.initial import Start, overlay


def test_overlay_replaces_what_was_loaded_and_nothing_else():
  variables = {'model': {'params': {'body': 1, 'head': {'kernel': 2, 'bias': 3}}}, 'teacher': 4}
  loaded = {'model': {'params': {'head': {'kernel': 20}}}}
  expected = {'model': {'params': {'body': 1, 'head': {'kernel': 20, 'bias': 3}}}, 'teacher': 4}
  assert overlay(variables, loaded) == expected
  assert overlay(variables, {}) == variables


class Source:
  """Weights that count how often they are read."""

  reads = 0

  def load(self, like):
    self.reads += 1
    return {'w': np.arange(8.0)}


def start(sources):
  mesh = jax.make_mesh((8,), ('data',), axis_types=(jax.sharding.AxisType.Auto,))
  split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec('data'))
  abstract = {'model': {'w': jax.ShapeDtypeStruct((8,), jnp.bfloat16, sharding=split)}}
  return Start(lambda loaded: loaded, abstract, sources)


def test_loaded_arrays_lie_as_the_state_does_in_its_types():
  w = start({'model': Source()})()['model']['w']
  assert w.dtype == jnp.bfloat16 and len(w.addressable_shards) == 8
  np.testing.assert_array_equal(w.astype(jnp.float32), np.arange(8))


def test_what_is_prepared_is_read_once():
  source = Source()
  begin = start({'model': source})
  begin.prepare()
  begin()
  assert source.reads == 1


def test_without_sources_nothing_is_loaded_and_strangers_are_refused():
  assert start({})() == {}
  with pytest.raises(UserError, match="unknown player in config.init_from 'critic'.*model"):
    start({'critic': Source()}).prepare()
