"""Whatever the operation: boxes stay where their pixels are, and the key decides everything."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitlab.ops import augment_boxes
from vitlab.ops.augment_boxes import Sample


@functools.cache
def compiled(pipeline):
  return jax.jit(augment_boxes.compile(pipeline))


PIPELINES = [
  'flip',
  'scale_jitter((0.6, 1.6))',
  'crop',
  'mosaic((0.6, 1.4), fill=0.0)',
  'mixup((0.6, 1.4), fill=0.0)',
  'color_jitter',
  'hsv_jitter',
  'flip|scale_jitter((0.6, 1.6))|hsv_jitter',
]


@pytest.fixture(scope='module')
def drawn():
  """Four dark pictures, each with a rectangle that is bright in a channel of its own."""
  sizes, image = (
    np.array([[120, 160], [110, 130], [90, 160], [100, 140]]),
    np.zeros((4, 120, 160, 4)),
  )
  boxes = np.array([[20, 30, 90, 100], [50, 8, 120, 80], [60, 10, 150, 76], [4, 25, 70, 95]])
  for k, (x0, y0, x1, y1) in enumerate(boxes):
    image[k, y0:y1, x0:x1, k] = 1.0
  rows = np.zeros((4, 5, 4))
  rows[:, 1] = boxes
  classes = np.where(np.arange(5) == 1, np.arange(4)[:, None], -1)
  return Sample(
    *map(jnp.asarray, (image.astype(np.float32), sizes, rows.astype(np.float32), classes))
  )


@pytest.mark.parametrize('pipeline', PIPELINES)
def test_pixels_lie_where_the_box_says(drawn, pipeline):
  kept = 0
  for seed in range(6):
    new = jax.tree.map(np.asarray, compiled(pipeline)(jax.random.key(seed), drawn))
    assert new.image.min() >= 0 and new.image.max() <= 1 and new.image.shape == drawn.image.shape
    for picture, size, boxes, classes in zip(*new):
      assert not picture[size[0] :].any() and not picture[:, size[1] :].any()
      assert (boxes[classes < 0] == 0).all()
      named = [k for k in classes if k >= 0]
      for k in {k for k in named if named.count(k) == 1}:
        overlap = iou(bounds(picture[..., k]), boxes[classes == k][0])
        assert overlap > 0.9, (pipeline, seed, k, overlap)
        kept += 1
  assert kept > 12


def bounds(channel):
  y, x = np.nonzero(channel > 0.25)  # half of what a mean of two leaves
  return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def iou(a, b):
  corners = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
  both = np.prod(np.maximum(corners, 0))
  area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
  return both / (sum(area) - both)


@pytest.mark.parametrize('pipeline', PIPELINES)
def test_the_key_decides_everything(drawn, pipeline):
  one, again, *others = (compiled(pipeline)(jax.random.key(k), drawn) for k in (1, 1, 2, 3, 4))
  jax.tree.map(np.testing.assert_array_equal, one, again)
  assert any(np.any(one.image != other.image) for other in others)


@pytest.mark.parametrize(
  'pipeline, alone',
  [('flip|crop|mixup|color_jitter', True), ('mosaic', False)],
)
def test_sharding_changes_nothing(drawn, pipeline, alone):
  """Mixing costs no communication as long as a device holds the whole group: two, or four."""
  sample = jax.tree.map(lambda x: jnp.tile(x, (4, *(1,) * (x.ndim - 1))), drawn)
  rows = NamedSharding(Mesh(jax.devices(), 'data'), PartitionSpec('data'))
  run = jax.jit(augment_boxes.compile(pipeline), out_shardings=rows)
  program = run.lower(jax.random.key(5), jax.device_put(sample, rows)).compile()
  found = re.findall(r'all-gather|all-reduce|all-to-all|collective-permute', program.as_text())
  assert alone != bool(found)
  got = program(jax.random.key(5), jax.device_put(sample, rows))
  close = functools.partial(np.testing.assert_allclose, atol=1e-4)
  jax.tree.map(close, got, compiled(pipeline)(jax.random.key(5), sample))
