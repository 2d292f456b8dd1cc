"""Every answer of the region proposal network belongs to its anchor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.layers.rpn import RPN, Numbers
from vitlab.ops.boxes import Objects, decode_deltas

CELLS = (
  ((-3.0, -3.0, 3.0, 3.0), (-4.0, -2.0, 4.0, 2.0)),
  ((-8.0, -8.0, 8.0, 8.0), (-9.0, -6.0, 9.0, 6.0)),
)
SHAPE = (32, 48)
SIZE = jnp.asarray([[32, 48], [20, 30]], jnp.int32)
LEVELS = [
  jax.random.normal(jax.random.key(i), (2, 32 // stride, 48 // stride, 5))
  for i, stride in enumerate((4, 8))
]
MODEL = RPN(CELLS, Numbers(9, 8), Numbers(6, 4), num_samples=10)


@pytest.fixture(scope='module')
def params():
  return MODEL.init(jax.random.key(2), LEVELS, SHAPE, SIZE)


def test_by_level_row_column_and_number_at_a_pixel(params):
  """Where one pixel of a level changes, the answers of its anchors do: through the 3×3 kernel."""
  _, before = MODEL.apply(params, LEVELS, SHAPE, SIZE)
  _, after = MODEL.apply(params, [LEVELS[0], LEVELS[1].at[0, 2, 5].add(9.0)], SHAPE, SIZE)
  for key, last in (('objectness', ()), ('anchor_deltas', (-1,))):
    (picture, index) = np.nonzero(np.abs(before[key] - after[key]).max(last) > 1e-6)
    assert set(picture) == {0} and len(index) == 2 * 3 * 2  # at the edge
    centre = np.asarray(before['anchors'])[index].reshape(-1, 2, 2).mean(1)
    assert centre.min(0).tolist() == [32, 8] and centre.max(0).tolist() == [40, 24]
  sides = before['anchors'][:, 2:] - before['anchors'][:, :2]
  assert sides[:2].tolist() == [[6, 6], [8, 4]] and sides[-1].tolist() == [18, 12]


def test_proposals_are_the_moved_anchors(params):
  found, out = MODEL.apply(params, LEVELS, SHAPE, SIZE)
  assert found.boxes.shape == (2, 4, 4) and found.valid.all()
  best = out['objectness'].argmax(1)
  moved = decode_deltas(out['anchor_deltas'][jnp.arange(2), best], out['anchors'][best])
  edge = jnp.asarray([[48, 32, 48, 32], [30, 20, 30, 20]])
  np.testing.assert_allclose(found.boxes[:, 0], jnp.clip(moved, 0, edge), rtol=1e-6)
  assert MODEL.apply(params, LEVELS, SHAPE, SIZE, True)[0].boxes.shape == (2, 8, 4)


def test_the_most_of_a_sample_are_background(params):
  objects = Objects(
    jnp.asarray([[[8, 8, 24, 24], [0, 0, 0, 0]]] * 2, jnp.float32),
    jnp.asarray([[1, -1], [-1, -1]], jnp.int32),
  )
  rngs = dict(dropout=jax.random.key(0))
  _, out = MODEL.apply(params, LEVELS, SHAPE, SIZE, True, objects, rngs=rngs)
  drawn = out['anchor_sample']
  assert drawn.index.shape == (2, 10) and drawn.valid.all()
  assert drawn.found.sum(1).tolist() == [1, 0]  # one anchor has these very corners
  assert out['anchors'][drawn.index[0, 0]].tolist() == [8, 8, 24, 24]


def test_anchors_for_other_levels_are_refused():
  with pytest.raises(UserError, match='anchor_sizes of 2 levels for a pyramid of 3'):
    MODEL.init(jax.random.key(0), [*LEVELS, LEVELS[0]], SHAPE, SIZE)
