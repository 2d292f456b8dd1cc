"""Objects told with mistakes: how many, how large, and of which objects."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.ops.boxes import Objects
from vitlab.ops.denoising import BOX_NOISE, CLASS_NOISE, disturb

BOXES = jnp.array([[[0.5, 0.4, 0.2, 0.3], [0.9, 0.5, 0.3, 0.1]], [[0.2, 0.2, 0.1, 0.1], [0.0] * 4]])
OBJECTS = Objects(BOXES, jnp.array([[1, 0], [3, -1]]))
GROUPS = 2000


def told():
  return disturb(jax.random.key(0), OBJECTS, GROUPS, 5)


def test_centres_and_sides_move_by_up_to_their_share_of_the_sides():
  boxes = np.asarray(told().boxes).reshape(2, GROUPS, 2, 4)
  moved = boxes - np.asarray(BOXES)[:, None]
  reach = np.asarray(BOXES)[..., [2, 3, 2, 3]] * np.array([0.5, 0.5, 1, 1]) * BOX_NOISE
  seen = np.abs(moved).max(1)
  np.testing.assert_allclose(seen[reach > 0], reach[reach > 0], rtol=0.02)
  assert (seen <= reach + 1e-6).all() and not boxes[1, :, 1].any()
  assert abs(moved.mean(1)).max() < 0.01
  assert boxes.min() >= 0 and boxes.max() <= 1


def test_boxes_stay_in_the_picture():
  edge = OBJECTS._replace(boxes=jnp.full((2, 2, 4), 0.97))
  found = disturb(jax.random.key(0), edge, GROUPS, 5).boxes
  assert found.max() == 1.0 and found.min() > 0.5


def test_a_share_of_the_classes_is_drawn_anew_and_nothing_stays_nothing():
  classes = np.asarray(told().classes).reshape(2, GROUPS, 2)
  for (row, column), right in {(0, 0): 1, (0, 1): 0, (1, 0): 3}.items():
    shares = np.bincount(classes[row, :, column], minlength=5) / GROUPS
    expected = np.full(5, CLASS_NOISE / 5)
    expected[right] += 1 - CLASS_NOISE
    np.testing.assert_allclose(shares, expected, atol=0.03)
  assert (classes[1, :, 1] == -1).all()
