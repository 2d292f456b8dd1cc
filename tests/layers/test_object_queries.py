"""Object queries: where anchored ones start and look; who sees whom: `models/test_detr.py`."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.layers.object_queries import SIDE, Focus, ObjectQueries
from vitlab.ops.boxes import Objects

SIZE = jnp.array([[10, 20], [8, 4]])


def test_anchors_start_all_over_the_picture_and_say_the_position():
  layer = ObjectQueries(50, 8, anchored=True)
  queries, variables = layer.init_with_output(jax.random.key(0), SIZE)
  assert queries.anchors.shape == (2, 50, 4) and queries.mask is None and not queries.content.any()
  centres, sides = np.split(np.asarray(queries.anchors[0]), 2, axis=-1)
  np.testing.assert_allclose(sides, SIDE, atol=1e-6)
  assert 0.05 < centres.min() < 0.15 and 0.85 < centres.max() < 0.95
  learned = variables['params']['learned'].at[1].set(variables['params']['learned'][0])
  same = layer.apply({'params': variables['params'] | dict(learned=learned)}, SIZE).position[0]
  np.testing.assert_array_equal(same[0], same[1])
  assert abs(same[0] - same[2]).max() > 0.1


def test_what_is_told_has_the_position_of_an_anchor_at_that_place():
  layer = ObjectQueries(1, 8, anchored=True, denoising=1, num_classes=3)
  variables = layer.init(jax.random.key(0), SIZE)
  objects = Objects(jnp.array([[[2.0, 4, 6, 8]], [[0, 0, 0, 0]]]), jnp.array([[1], [-1]]))
  rngs = {'dropout': jax.random.key(1)}
  told = layer.apply(variables, SIZE, True, objects, rngs=rngs)
  assert told.position.shape == (2, 2, 8) and told.mask[0, 0].tolist() == [
    [True, False],
    [False, True],
  ]
  # (centre, sides) of 20 by 10 pixels; up to 0.4 of half a side and of a side are noise.
  np.testing.assert_allclose(told.anchors[0, 1], [0.2, 0.6, 0.2, 0.4], atol=0.4 * 0.4)
  assert abs(told.anchors[0, 1] - jnp.array([0.2, 0.6, 0.2, 0.4])).max() > 1e-3
  logits = jnp.log(told.anchors[:1, 1] / (1 - told.anchors[:1, 1]))
  anchored = layer.apply({'params': variables['params'] | dict(learned=logits)}, SIZE)
  np.testing.assert_allclose(anchored.position[0, 0], told.position[0, 1], atol=1e-5)


def test_a_query_looks_around_its_anchor_in_the_valid_area():
  anchors = jnp.array([[[0.25, 0.5, 0.5, 0.25]], [[1.0, 0.75, 0.2, 0.4]]])
  counts, grid = jnp.array([[2, 4], [1, 2]]), (2, 4)
  layer = Focus(2)
  params = {'closeness': jnp.array([0.5, 3.0])}
  bias = layer.apply({'params': params}, anchors, counts, grid)
  assert bias.shape == (2, 2, 1, 8)
  for b in range(2):
    x, y, w, h = anchors[b, 0]
    for i in range(counts[b, 0]):
      for j in range(counts[b, 1]):
        down, right = (i + 0.5) / counts[b, 0] - y, (j + 0.5) / counts[b, 1] - x
        apart = (down / h) ** 2 + (right / w) ** 2
        expected = -np.log1p(np.exp(params['closeness'])) * apart
        np.testing.assert_allclose(bias[b, :, 0, i * 4 + j], expected, rtol=1e-5)
