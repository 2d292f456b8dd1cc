"""What the page of a generator shows is what the generator draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import gans

from vitlab.report.gan import collected


@pytest.fixture(scope='module')
def drawn():
  return collected.of_run(gans.shared())


def test_samples_are_ordered_by_class(drawn):
  assert [kind.name for kind in drawn.kinds] == gans.FACTS['class_names']
  assert drawn.samples.shape == (4, 8, 8, 8, 3) and drawn.step == 7
  np.testing.assert_array_equal(drawn.samples[2, 5], gans.sample(2, 5))


def test_the_nearest_pictures_are_found_wherever_they_lie():
  model, wanted = gans.shared(), [gans.sample(label, 0) for label in range(4)]
  others = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3), np.uint8)
  source = [dict(image=image) for image in others]
  source[67]['image'], source[2]['image'] = wanted[1], np.clip(wanted[1], 6, 249)
  near = collected._near(model, source)[1]
  assert near.name == 'dog' and near.distances[0] == 0 < near.distances[1]
  np.testing.assert_array_equal(near.sample, wanted[1])
  np.testing.assert_array_equal(near.found[0], wanted[1])
  np.testing.assert_array_equal(near.found[1], source[2]['image'])
  assert near.distances == sorted(near.distances)


def test_real_pictures_are_those_of_training():
  config = gans.config()
  config.update(data=dict(name='digits'), train_split='train[:100]')
  source, words = collected._real(gans.shared()._replace(config=config, facts={}))
  assert len(source) == 100 and words == 'all 100 training pictures'


def test_without_the_data_the_page_goes_without_neighbours(drawn):
  assert not drawn.near and drawn.looks is not None and drawn.earlier == {}


def test_the_generator_looks_from_the_point_that_is_framed():
  weights = np.zeros((2, 1, 64, 16), np.float32)
  for t in range(64):
    weights[:, 0, t, (t // 8 // 2) * 4 + t % 8 // 2] = 1  # each looks at where it is
  side, maps = collected._asked(weights)
  assert side == 8 and maps.shape == (2, len(collected.POINTS), 4, 4)
  for (y, x), found in zip(collected.POINTS, maps[1]):
    assert found[int(y * 4), int(x * 4)] == found.sum() == 1


def test_looks_are_those_of_the_samples(drawn):
  (layer,) = drawn.looks.layers
  np.testing.assert_array_equal(drawn.looks.images[5], gans.sample(1, 5))
  batch = dict(index=jnp.int32([5]), label=jnp.int32([1]))
  (weights,) = jax.jit(gans.shared().task.predict['attention'])(gans.shared().variables, batch)
  np.testing.assert_allclose(layer[1][5], collected._asked(np.asarray(weights))[1][0], atol=1e-5)
