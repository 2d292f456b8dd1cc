"""The surest boxes of a picture."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.ops.answers import surest

BOXES = jnp.asarray([[0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 9], [20, 20, 30, 30]], jnp.float32)
SCORES = jnp.asarray([0.6, 0.9, 0.8, 0.0])
CLASSES = jnp.asarray([1, 1, 0, 0], jnp.int32)
OPTIONS = dict(count=4, candidates=4, iou_threshold=0.5)


def found(boxes=BOXES, scores=SCORES, classes=CLASSES, **options):
  return surest(boxes, scores, classes, **OPTIONS | options)


def test_of_boxes_of_one_class_that_overlap_the_surest_alone():
  answers = found()
  np.testing.assert_allclose(answers.scores, [0.9, 0.8, 0, 0])
  assert answers.classes.tolist() == [1, 0, -1, -1]
  assert answers.boxes.tolist() == [[0, 0, 9, 8], [0, 0, 9, 9], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_without_suppression_all_with_a_score():
  answers = found(iou_threshold=None)
  np.testing.assert_allclose(answers.scores, [0.9, 0.8, 0.6, 0])
  assert answers.classes.tolist() == [1, 0, 1, -1]


def test_no_more_than_are_asked_for():
  assert found(count=1).classes.tolist() == [1]
  assert found(candidates=1).classes.tolist() == [1]
  assert found(count=9).classes.shape == (4,)


def test_of_several_pictures():
  pair = jax.vmap(partial(surest, **OPTIONS))(
    *(jnp.stack([x, x]) for x in (BOXES, SCORES, CLASSES))
  )
  assert pair.classes.tolist() == [[1, 0, -1, -1]] * 2
