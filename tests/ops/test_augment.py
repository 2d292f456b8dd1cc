"""Pipelines: what every operation keeps, and that they run one after the other."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitlab.ops import augment

RNG = np.random.default_rng(0)
IMAGE = jnp.asarray(RNG.integers(0, 256, (16, 8, 6, 3)) / 255, jnp.float32)
TARGET = jnp.eye(4)[jnp.arange(16) % 4]
KEY = jax.random.key(1)


@functools.cache
def compiled(pipeline):
  return jax.jit(augment.compile(pipeline))


@pytest.fixture(params=sorted(augment.OPERATIONS))
def operation(request):
  # affine does nothing by default
  return 'affine(20, 0.1)' if request.param == 'affine' else request.param


def test_images_stay_images_and_targets_distributions(operation):
  image, target = compiled(operation)(KEY, IMAGE, TARGET)
  assert image.shape == IMAGE.shape and image.dtype == IMAGE.dtype
  assert image.min() >= 0 and image.max() <= 1
  assert target.min() >= 0
  np.testing.assert_allclose(target.sum(-1), 1, atol=1e-6)


def test_the_key_decides_everything(operation):
  run = compiled(operation)
  one, again = (run(KEY, IMAGE, TARGET) for _ in range(2))
  jax.tree.map(np.testing.assert_array_equal, one, again)
  other, _ = run(jax.random.key(2), IMAGE, TARGET)
  assert np.any(one[0] != other)


def test_any_number_of_channels(operation):
  for channels in (1, 4):
    shape = (4, 8, 6, channels)
    image, _ = jax.eval_shape(augment.compile(operation), KEY, jnp.zeros(shape), TARGET[:4])
    assert image.shape == shape


def test_sharding_changes_nothing_and_costs_no_communication(operation):
  single = compiled(operation)(KEY, IMAGE, TARGET)
  rows = NamedSharding(Mesh(jax.devices(), 'data'), PartitionSpec('data'))
  image, target = jax.device_put((IMAGE, TARGET), rows)
  run = jax.jit(augment.compile(operation), out_shardings=rows)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, atol=1e-6), run(KEY, image, target), single
  )
  program = run.lower(KEY, image, target).compile().as_text()
  assert not re.findall(r'all-gather|all-reduce|all-to-all|collective-permute', program)


def test_a_pipeline_runs_from_left_to_right_with_a_key_for_each():
  image, target = IMAGE, TARGET
  for i, stage in enumerate(('random_crop(padding=2)', 'flip', 'mixup(alpha=0.2)')):
    inner = stage if '(' in stage else stage + '()'
    name = inner.partition('(')[0]
    keywords = eval(f'dict{inner[len(name) :]}')
    image, target = augment.OPERATIONS[name](jax.random.fold_in(KEY, i), image, target, **keywords)
  got = augment.compile('random_crop(padding=2)|flip|mixup(alpha=0.2)')(KEY, IMAGE, TARGET)
  np.testing.assert_allclose(got[0], image, atol=1e-6)
  np.testing.assert_allclose(got[1], target, atol=1e-6)


def test_the_empty_pipeline_changes_nothing():
  for pipeline in ('', '  '):
    image, target = augment.compile(pipeline)(KEY, IMAGE, TARGET)
    assert image is IMAGE and target is TARGET
