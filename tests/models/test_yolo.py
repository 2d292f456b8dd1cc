"""YOLOX as a detector: any picture, its options, its words; its numbers: `test_yolo_parity`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.models import yolo
from vitlab.ops.boxes import Objects
from vitlab.tasks import detection

IMAGE, SIZE = jax.random.normal(jax.random.key(0), (2, 40, 70, 3)), jnp.array([[40, 70], [33, 50]])
# Around the corners of cells, as large as one of each map: there the first answers lie.
OBJECTS = Objects(
  jnp.array([[[17.0, 17, 52, 52], [0, 0, 0, 0]], [[6, 6, 27, 27], [3, 3, 14, 14]]]),
  jnp.array([[1, -1], [0, 2]]),
)


@pytest.fixture(scope='module')
def state():
  """A model, its variables, and what it gives for pictures whose sides 32 does not divide."""
  model = yolo.make('mu', 3, width=4, score_threshold=0.0, max_detections=7, l1=True)
  variables = jax.jit(model.init)(jax.random.key(1), IMAGE, SIZE)
  return model, variables, jax.jit(model.apply)(variables, IMAGE, SIZE)


def test_every_cell_answers_and_the_surest_lie_in_the_picture(state):
  model, _, out = state
  assert [level.shape[1:3] for level in out['levels']] == [(8, 12), (4, 6), (2, 3)]
  assert out['boxes'].shape == (2, 126, 4) and out['logits'].shape == (2, 126, 3)
  found, candidates = jax.jit(lambda out: [model.detect(out, SIZE, s) for s in (True, False)])(out)
  for answers in found, candidates:
    assert answers.boxes.shape == (2, 7, 4) and (answers.classes >= 0).all()
    assert (jnp.diff(answers.scores, axis=1) <= 0).all()
    assert (answers.boxes >= 0).all()
    assert (answers.boxes <= jnp.tile(SIZE[:, None, ::-1], (1, 1, 2))).all()


def test_at_first_nothing_is_likely(state):
  """p(object) and p(class) start near 0.01, so that the many cells without object cost little."""
  _, _, out = state
  for name in 'objectness', 'logits':
    np.testing.assert_allclose(jax.nn.sigmoid(out[name]).mean(), 0.01, atol=0.002)


def test_every_parameter_learns_and_pictures_without_objects_are_no_danger(state):
  model, variables, _ = state

  @jax.jit
  def slopes(objects):
    def loss(params):
      given = {**variables, 'params': params}
      out, _ = model.apply(given, IMAGE, SIZE, train=True, mutable='batch_stats')
      return detection.total(model.losses(out, objects, SIZE, jnp.ones(2, bool)))

    return jax.grad(loss)(variables['params'])

  for path, leaf in jax.tree_util.tree_leaves_with_path(slopes(OBJECTS)):
    assert abs(leaf).max() > 0 and np.isfinite(leaf).all(), path
  nothing = Objects(jnp.zeros((2, 2, 4)), jnp.full((2, 2), -1))
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes(nothing)))


@pytest.mark.parametrize('variant', ['mu', 'nano', 'darknet53'])
def test_answers_are_float32_whatever_is_computed_in(variant):
  model = yolo.make(variant, 3, width=4, dtype='bfloat16')
  variables = jax.eval_shape(model.init, jax.random.key(1), IMAGE, SIZE)
  out = jax.eval_shape(model.apply, variables, IMAGE, SIZE)
  assert out.pop('levels')[0].dtype == jnp.bfloat16
  assert {x.dtype for x in out.values()} == {jnp.dtype('float32')}
  assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(variables))


@pytest.mark.parametrize(
  ('options', 'named'),
  [
    (dict(variant='xs'), 'nano'),
    (dict(num_classes=0), 'num_classes=0'),
    (dict(nms_iou=1.5), 'nms_iou=1.5'),
    (dict(max_detections=0), 'max_detections=0'),
    (dict(depths=(1, 2)), 'need to be 4'),
    (dict(variant='darknet53', depths=(1, 2, 3, 4)), 'need to be 5'),
    (dict(dtype='int8'), 'bfloat16'),
  ],
)
def test_refused_in_few_lines(options, named):
  with pytest.raises(UserError, match=named) as error:
    yolo.make(**options)
  assert len(str(error.value).splitlines()) <= 3
