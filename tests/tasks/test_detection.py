"""The task of detection, around a detector that is as simple as can be: one box, of one class."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.ops.boxes import Detections, Term
from vitlab.tasks import detection

SIZE = np.int32([[4, 6], [6, 3], [6, 6]])


class Middle(nn.Module):
  """Answers one box, a learned share of the valid part; class 0."""

  @nn.compact
  def __call__(self, image, size, train=False, objects=None):
    share = self.param('share', nn.initializers.constant(0.5), (4,))
    high, wide = size[:, :1], size[:, 1:]
    box = share * jnp.concatenate([wide, high, wide, high], axis=-1)
    return dict(box=box, image=image, told=objects is not None)

  @nn.nowrap
  def losses(self, out, objects, size, mask):
    present = (objects.classes >= 0) & mask[:, None]
    off = jnp.abs(out['box'][:, None] - objects.boxes).sum(-1)
    count = present.sum().astype(jnp.float32)
    return dict(box=Term(jnp.where(present, off, 0).sum(), count, 2.0))

  @nn.nowrap
  def detect(self, out, size, suppress=True):
    boxes = jnp.repeat(out['box'][:, None], 1 if suppress else 2, axis=1)
    ones = jnp.ones(boxes.shape[:2])
    return Detections(boxes, ones, jnp.zeros(ones.shape, jnp.int32))


@pytest.fixture
def batch():
  generator = np.random.default_rng(0)
  rows = dict(
    image=generator.integers(0, 256, (3, 6, 6, 1), dtype=np.uint8),
    size=SIZE,
    boxes=np.float32(
      [[[0, 0, 2, 2], [1, 1, 3, 3]], [[0, 0, 3, 3], [0, 0, 0, 0]], [[1, 1, 5, 5]] * 2]
    ),
    classes=np.int32([[0, 1], [0, -1], [0, 0]]),
    mask=np.array([True, True, False]),
  )
  return {key: jnp.asarray(row) for key, row in rows.items()}


def started(batch, **spec):
  task = detection.make(Middle(), **spec)
  return task, task.init(jax.random.key(0), batch)


def test_the_terms_of_what_counts_are_summed_by_their_weights(batch):
  task, variables = started(batch)
  loss = task.losses['model'](variables, batch, jax.random.key(1))
  # (3, 2, 3, 2) of the first picture, (1.5, 3, 1.5, 3) of the second; the third does not count.
  off = [3 + 2 + 1 + 0, 2 + 1 + 0 + 1, 1.5 + 3 + 1.5 + 0]
  assert float(loss.value) == pytest.approx(2 * sum(off) / 3)
  assert [float(x) for x in loss.metrics['box']] == [pytest.approx(sum(off)), 3]
  assert [float(x) for x in loss.metrics['loss']] == [pytest.approx(4 * sum(off) / 3), 2]
  assert float(loss.weight) == 2 and loss.outputs['out']['told']


def test_a_batch_without_objects_costs_nothing_and_moves_nothing(batch):
  task, variables = started(batch)
  empty = batch | dict(classes=jnp.full_like(batch['classes'], -1))
  gradient = jax.grad(lambda v: task.losses['model'](v, empty, jax.random.key(1)).value)(variables)
  assert not np.any(gradient['model']['params']['share'])


@pytest.mark.parametrize('fill, padding', [(None, 0.0), ([127.5], 1.0), ([0], -1.0)])
def test_the_model_sees_normalised_pixels_and_one_value_of_padding(batch, fill, padding):
  task, variables = started(batch, mean=[0.25], std=[0.25], fill=fill)
  image = np.asarray(task.predict['intermediates'](variables, batch)['image'])
  for row, (height, width) in enumerate(SIZE):
    inside = (batch['image'][row, :height, :width] / 255 - 0.25) / 0.25
    np.testing.assert_allclose(image[row, :height, :width], inside, atol=1e-5)
    assert np.all(image[row, height:] == padding) and np.all(image[row, :, width:] == padding)


def test_answers_are_dicts_before_and_after_suppression(batch):
  task, variables = started(batch)
  answers = [task.predict[name](variables, batch) for name in ('detections', 'candidates')]
  assert [answer['boxes'].shape for answer in answers] == [(3, 1, 4), (3, 2, 4)]
  assert set(answers[0]) == {'boxes', 'scores', 'classes'}


def test_padding_of_the_wrong_number_of_channels_is_named(batch):
  with pytest.raises(UserError, match='fill has 3 values, but images have 1 channels'):
    started(batch, fill=[1, 2, 3])


def test_data_that_are_not_here_are_pictures_of_the_largest_shape():
  assumed = detection.assumed(dict(image_size=(4, 6), channels=1), dict(num_classes=3))
  assert assumed.facts['image']['image_size'] == (6, 6) and assumed.facts['num_classes'] == 3
  example = assumed.example
  assert example['image'].shape == (6, 6, 1) and example['boxes'].shape == (8, 4)
  np.testing.assert_array_equal(example['size'], [6, 6])
  assert set(example['classes']) == {-1}
  assert detection.assumed(dict(image_size=4), {}) is None
