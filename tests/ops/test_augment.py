"""Pipelines: what every operation keeps, and how a pipeline is read."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitlab.errors import UserError
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


@pytest.mark.parametrize(
  'one, other',
  [
    ('random_crop(2)', 'random_crop(padding=2)'),
    ('random_crop(2, "edge")', "random_crop(mode='edge', padding=2)"),
    ('flip()', 'flip'),
    ('flip(1)', ' flip ( probability = 1.0 ) '),
    ('resized_crop((0.5, 1))', 'resized_crop(scale=[0.5, 1.0])'),
  ],
)
def test_spellings(one, other):
  a, b = (augment.compile(pipeline)(KEY, IMAGE, TARGET)[0] for pipeline in (one, other))
  np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
  'pipeline, message',
  [
    ('flop', "unknown augmentation 'flop': did you mean flip"),
    ('flip|mixupp(0.2)', "unknown augmentation 'mixupp': did you mean mixup"),
    ('flip(prob=1)', "unknown keyword of augmentation flip 'prob': .*probability"),
    ('flip(0.5, 0.5)', 'flip takes at most 1 arguments: probability'),
    ('flip(0.5, probability=0.5)', 'flip got two values for probability'),
    ('flip(2)', r'flip\(probability=2\): expected from 0 to 1'),
    ('flip("yes")', r"flip\(probability='yes'\): expected float"),
    ('flip(True)', r'flip\(probability=True\): expected float'),
    ('random_crop(1.5)', r'random_crop\(padding=1.5\): expected int'),
    ('random_crop(-1)', r'random_crop\(padding=-1\): expected from 0 to 1024'),
    ('random_crop(mode="wrap")', r"mode='wrap'\): possible are zero, reflect, edge"),
    ('random_crop(mode=3)', r'mode=3\): possible are zero, reflect, edge'),
    ('resized_crop(0.5)', r'scale=0.5\): expected two values, such as \(0.08, 1.0\)'),
    ('resized_crop((0.5, 2))', r'scale=\(0.5, 2\)\): expected from 1e-06 to 1'),
    ('resized_crop((1, 0.5))', r'scale=\(1, 0.5\)\): expected the smaller value first'),
    ('mixup(alpha=float("nan"))', 'cannot read'),
    ('mixup(alpha=1e999)', 'expected from 0.001 to 1000'),
    ('mixup(alpha=-1)', 'expected from 0.001 to 1000'),
    ('flip mixup', 'cannot read'),
    ('flip|', 'cannot read'),
    ('flip & mixup', 'cannot read'),
    ('flip(**{})', 'cannot read'),
    ('(lambda: 1)()', 'cannot read'),
    ('a.flip', 'cannot read'),
    ('flip\x00', 'cannot read'),
  ],
)
def test_what_cannot_be_used_is_explained(pipeline, message):
  with pytest.raises(UserError, match=message) as error:
    augment.compile(pipeline)
  assert len(str(error.value).splitlines()) <= 3


def test_every_keyword_has_limits_that_its_default_keeps():
  for name, function in augment.OPERATIONS.items():
    for key, parameter in list(inspect.signature(function).parameters.items())[3:]:
      assert (key in augment.LIMITS) != (key in augment.CHOICES), f'{name}({key})'
      augment.compile(f'{name}({key}={parameter.default!r})')
