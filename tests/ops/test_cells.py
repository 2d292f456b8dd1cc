"""Cells of maps, and which answers of a detector in cells are left."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from vitlab.ops.cells import Keep, cells, kept, side_by_side

run = jax.jit(kept, static_argnums=(3, 4))
SIZE = np.array([[50, 60], [40, 30]])


def answers(seed: int = 0, count: int = 60):
  """Boxes [2 q 4], of which some are larger than the picture and some outside; scores [2 q 3]."""
  random = np.random.default_rng(seed)
  centre, side = random.uniform(0, 60, (2, count, 2)), random.uniform(5, 40, (2, count, 2))
  boxes = np.concatenate([centre - side / 2, centre + side / 2], axis=-1)
  return boxes.astype(np.float32), random.uniform(0, 0.6, (2, count, 3)).astype(np.float32)


def expected(boxes, scores, size, keep: Keep):
  """YOLOX's own steps (yolox/utils/boxes.py, postprocess), then the picture's border."""
  boxes, scores = torch.tensor(boxes), torch.tensor(scores)
  score, name = scores.max(1)
  likely = score >= keep.score
  boxes, score, name = boxes[likely], score[likely], name[likely]
  index = batched_nms(boxes, score, name, keep.overlap)
  boxes, score, name = boxes[index], score[index], name[index]
  border = torch.tensor([size[1], size[0]] * 2)
  return torch.minimum(boxes.clamp(min=0), border).numpy(), score.numpy(), name.numpy()


@pytest.mark.parametrize('keep', [Keep(0.3, 0.5), Keep(0.3, 0.1), Keep(0.5, 0.9)])
def test_equals_the_steps_of_yolox(keep):
  """With boxes that touch the picture: what lies outside of it, theirs keeps."""
  boxes, scores = answers()
  scores[(boxes[..., :2] > SIZE[:, None, ::-1]).any(-1)] = 0
  got = run(*map(jnp.asarray, (boxes, scores, SIZE)), keep)
  for i in range(2):
    box, score, name = expected(boxes[i], scores[i], SIZE[i], keep)
    count = len(name)
    assert 3 < count < 60
    assert (got.classes[i, :count] == name).all() and (got.classes[i, count:] == -1).all()
    np.testing.assert_array_equal(got.scores[i, :count], score)
    np.testing.assert_array_equal(got.boxes[i, :count], box)
    assert (got.scores[i, count:] == 0).all() and (got.boxes[i, count:] == 0).all()


def test_what_lies_outside_of_the_picture_is_dropped_and_suppresses_nothing():
  boxes = jnp.array([[[31.0, 0, 41, 10], [29, 0, 39, 10], [0, 41, 9, 50], [0, 39, 9, 49]]])
  scores = jnp.array([[[0.9], [0.8], [0.7], [0.6]]])
  got = run(boxes, scores, jnp.array([[40, 30]]), Keep(detections=4))
  np.testing.assert_allclose(got.scores, [[0.8, 0.6, 0, 0]])
  np.testing.assert_array_equal(got.boxes[0, :2], [[29, 0, 30, 10], [0, 39, 9, 40]])


@pytest.mark.parametrize('suppress', [True, False])
def test_the_surest_are_left(suppress):
  """Of many candidates only some are compared, and only some are said."""
  boxes, scores = map(jnp.asarray, answers(count=50))
  keep = Keep(score=0.0, overlap=1.0, candidates=20, detections=8)
  size = jnp.full((2, 2), 100)
  got = run(boxes, scores, size, keep, suppress)
  order = np.argsort(-np.asarray(scores.max(-1)), axis=1)[:, :8]
  np.testing.assert_array_equal(got.scores, np.take_along_axis(scores.max(-1), order, 1))
  np.testing.assert_array_equal(got.classes, np.take_along_axis(scores.argmax(-1), order, 1))
  few = run(boxes[:, :3], scores[:, :3], size, keep, suppress)
  assert few.boxes.shape == (2, 3, 4)


def test_cells_go_row_by_row_map_by_map():
  maps = [jnp.zeros((1, 2, 3, 1)), jnp.zeros((1, 1, 2, 1))]
  grid = cells(maps, (8, 16))
  assert grid.corners.tolist()[:4] == [[0, 0], [1, 0], [2, 0], [0, 1]]
  assert grid.corners.tolist()[6:] == [[0, 0], [1, 0]]
  assert grid.strides.tolist() == [8] * 6 + [16] * 2
  twice = cells(maps, (8, 16), repeat=2)
  assert twice.corners.tolist()[:3] == [[0, 0], [0, 0], [1, 0]] and len(twice.strides) == 16
  numbered = [jnp.arange(6.0).reshape(1, 2, 3), jnp.arange(6.0, 8).reshape(1, 1, 2)]
  assert side_by_side(numbered).tolist() == [[*range(8)]]
