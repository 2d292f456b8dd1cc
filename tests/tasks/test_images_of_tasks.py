"""Examples of data with pictures, and their pixels."""

import jax.numpy as jnp
import numpy as np

from vitlab.tasks import _images


def test_an_example_has_the_shape_in_the_facts_and_what_a_config_says_is_enough():
  facts = dict(image=dict(image_size=(4, 6), channels=1))
  assert _images.example(facts)['image'].shape == (4, 6, 1)
  known = _images.assumed(dict(image_size=8), dict(num_classes=5))
  assert known.facts['num_classes'] == 5 and known.example['image'].shape == (8, 8, 3)
  assert _images.assumed(dict(path='x'), dict(num_classes=5)) is None
  assert _images.assumed(dict(image_size=8), dict(num_classes=None)) is None


def test_pixels_lie_in_zero_to_one():
  found = _images.pixels(jnp.array([[[[0], [51], [255]]]], jnp.uint8))
  np.testing.assert_allclose(np.ravel(found), [0, 0.2, 1])
