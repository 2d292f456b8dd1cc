"""YOLOX computes what its authors' own code computes, in training too; every trap would be seen.

The numbers in `tests/references/yolox.npz` are those of yolox 0.3.0, made by the file beside it.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import yolox
from _helpers.yolox import CASES, EXPECTED, SIZE

from vitlab.models import yolo
from vitlab.ops.boxes import xyxy_to_cxcywh
from vitlab.ops.cells import Cells


@pytest.mark.parametrize(
  ('variant', 'parameters'),
  # The first two and x: as their code gives. All are those of the paper's tables.
  [
    ('nano', 912_159),
    ('tiny', 5_055_855),
    ('s', 8_968_255),
    ('m', 25_326_495),
    ('l', 54_208_895),
    ('x', 99_071_455),
    ('darknet53', 63_724_767),
  ],
)
def test_parameters(variant, parameters):
  model, image = yolo.make(variant), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), image, jnp.ones((1, 2), int))['params']
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == parameters


def computed(case, model):
  """What the model gives."""
  run = jax.jit(lambda v: model.apply(v, jnp.asarray(yolox.picture()), SIZE))
  return run(yolox.variables(case))


computed_once = cache(lambda case: computed(case, yolox.make(case)))


def answers(out):
  """(centre, width, height, p(object), p(class)...) in each cell, as they have it."""
  objectness, classes = (jax.nn.sigmoid(out[key]) for key in ('objectness', 'logits'))
  parts = [xyxy_to_cxcywh(out['boxes']), objectness[..., None], classes]
  return np.concatenate(parts, axis=-1)


def difference(a, b) -> float:
  return abs(np.asarray(a) - np.asarray(b)).max()


@pytest.mark.parametrize('case', CASES)
def test_answers_equal_theirs(case, x64):
  assert difference(answers(computed_once(case)), EXPECTED[f'{case}/answers']) < 1e-11


@pytest.mark.parametrize('case', ['csp', 'darknet'])
def test_losses_slopes_and_statistics_equal_theirs(case, x64):
  """The whole of a training step, with a picture that has no object in it."""
  total, parts, slopes, moved = yolox.trained(case, yolox.make(case, l1=True))
  for ours, theirs in dict(box='iou', objectness='conf', l1='l1').items():
    assert difference(parts[ours], EXPECTED[f'{case}/loss/{theirs}']) < 1e-10
  assert difference(parts['class'], EXPECTED[f'{case}/loss/cls']) < 1e-10
  assert difference(total, EXPECTED[f'{case}/loss/total']) < 1e-10
  slopes, expected = yolox.measured(slopes, case), EXPECTED[f'{case}/slopes']
  assert difference(slopes, expected) < 1e-11 * abs(expected).max()
  moved, expected = yolox.measured(moved, case, statistics=True), EXPECTED[f'{case}/moved']
  assert difference(moved, expected) < 1e-11


def test_another_decoding_would_be_seen(x64):
  """From the centre of the cell, as anchors are, or p · stride + corner."""
  deltas = computed_once('csp')['deltas']
  grid = Cells(*yolox.reference.grid())
  place = lambda deltas, grid: xyxy_to_cxcywh(yolo.decode(deltas, grid))[..., :2]  # noqa: E731
  expected = EXPECTED['csp/answers'][..., :2]
  assert difference(place(deltas, grid), expected) < 1e-11
  assert difference(place(deltas, grid._replace(corners=grid.corners + 0.5)), expected) > 1
  assert difference(place(deltas / grid.strides[:, None], grid), expected) > 1


def test_the_epsilon_that_the_model_alone_has_would_be_seen(x64):
  got = answers(computed('csp', yolox.make('csp', norm_epsilon=1e-5)))
  assert difference(got, EXPECTED['csp/answers']) > 1e-3


def test_rows_that_do_not_count_weigh_nothing(x64):
  """Neither their objects nor their cells, whatever they are."""
  model = yolox.make('csp', l1=True)
  out = computed_once('csp')
  objects = yolox.objects(yolox.reference.scene()[1])
  mask = jnp.array([True, False, True])
  some = jax.tree.map(lambda x: x[mask], (out, objects))
  losses = jax.jit(model.losses)
  expected = losses(*some, SIZE[mask], mask[mask])
  nan = jax.tree.map(lambda x: x.at[1].set(jnp.nan) if x.dtype == float else x, out)
  got = losses(nan, objects, SIZE, mask)
  assert difference(jax.tree.leaves(got), jax.tree.leaves(expected)) < 1e-12
