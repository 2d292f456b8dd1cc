"""How a pipeline is read: what may be written, and what is said to what may not."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.ops import augment, augment_boxes, pipelines

RNG = np.random.default_rng(0)
IMAGE = jnp.asarray(RNG.integers(0, 256, (16, 8, 6, 3)) / 255, jnp.float32)
TARGET = jnp.eye(4)[jnp.arange(16) % 4]
KEY = jax.random.key(1)


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


@pytest.mark.parametrize('table', [augment, augment_boxes])
def test_every_keyword_has_limits_that_its_default_keeps(table):
  for name, function in table.OPERATIONS.items():
    for key, parameter in inspect.signature(function).parameters.items():
      if parameter.default is parameter.empty:
        continue
      assert (key in pipelines.LIMITS) != (key in pipelines.CHOICES), f'{name}({key})'
      table.compile(f'{name}({key}={parameter.default!r})')


@pytest.mark.parametrize(
  'pipeline, message',
  [
    ('mosaik', "unknown augmentation 'mosaik': did you mean mosaic"),
    ('cutmix', "unknown augmentation 'cutmix'"),
    ('flip(', 'possible are color_jitter, crop, flip, hsv_jitter, mixup, mosaic, scale_jitter'),
    ('mosaic(sample=1)', "unknown keyword of augmentation mosaic 'sample': .*zoom"),
    ('hsv_jitter(hue=0.6)', r'hsv_jitter\(hue=0.6\): expected from 0 to 0.5'),
  ],
)
def test_each_table_names_its_own_operations(pipeline, message):
  with pytest.raises(UserError, match=message):
    augment_boxes.compile(pipeline)
