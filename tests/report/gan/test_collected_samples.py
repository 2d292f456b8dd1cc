"""What the page of a generator shows is what the generator draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import gans

from vitlab.predict.gan import Sampler
from vitlab.report.gan import between, collected
from vitlab.report.gan.norms import norms


@pytest.fixture(scope='module')
def drawn():
  return collected.of_run(gans.shared())


def sample(label, index):
  return Sampler(gans.shared())(np.int32([label]), index=np.int32([index]))[0]


def test_samples_are_ordered_by_class(drawn):
  assert [kind.name for kind in drawn.kinds] == gans.FACTS['class_names']
  assert drawn.samples.shape == (4, 8, 8, 8, 3) and drawn.step == 7
  np.testing.assert_array_equal(drawn.samples[2, 5], sample(2, 5))


def test_interpolations_end_where_samples_are(drawn):
  for row, line in enumerate(drawn.noises):
    assert line.images.shape == (9, 8, 8, 3)
    np.testing.assert_array_equal(line.images[0], sample(row, 2 * row))
    np.testing.assert_array_equal(line.images[-1], sample(row, 2 * row + 1))
  assert [line.what for line in drawn.classes] == ['cat → dog', 'sea / sand → 1']
  for row, line in enumerate(drawn.classes):
    for place, label in ((0, 2 * row), (-1, 2 * row + 1)):
      near = np.abs(line.images[place].astype(int) - sample(label, row))
      assert near.max() <= 1  # another program: a level of 255 may round the other way
    moved = np.abs(np.diff(line.images.astype(int), axis=0)).sum((1, 2, 3))
    assert (moved > 0).all()


def test_noise_on_the_way_is_as_long_as_noise_is():
  first, second = np.random.default_rng(0).normal(size=(2, 100))
  line = between._arc(first, second, 5)
  np.testing.assert_allclose(line[[0, -1]], [first, second])
  lengths = np.linalg.norm(line, axis=1)
  np.testing.assert_allclose(np.diff(lengths), np.full(4, np.diff(lengths).mean()))
  turned = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(line, line[1:])]
  np.testing.assert_allclose(turned, turned[0])
  np.testing.assert_allclose(between._arc(first, first, 3), [first] * 3)


def test_the_nearest_pictures_are_found_wherever_they_lie():
  model, wanted = gans.shared(), [sample(label, 0) for label in range(4)]
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
  np.testing.assert_array_equal(drawn.looks.images[5], sample(1, 5))
  batch = dict(index=jnp.int32([5]), label=jnp.int32([1]))
  (weights,) = jax.jit(gans.shared().task.predict['attention'])(gans.shared().variables, batch)
  np.testing.assert_allclose(layer[1][5], collected._asked(np.asarray(weights))[1][0], atol=1e-5)


def test_norms_are_those_of_kernels_as_matrices():
  variables = gans.shared().variables
  found = {(one.player, one.layer): one for one in norms(variables)}
  assert {player for player, _ in found} == {'generator', 'discriminator'}
  kernel = variables['generator']['params']['block_0']['conv1']['kernel']
  one = found['generator', 'block_0/conv1']
  matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
  np.testing.assert_allclose(one.largest, np.linalg.svd(matrix, compute_uv=False)[0])
  vectors = variables['generator']['spectral']['block_0']['conv1']
  np.testing.assert_allclose(one.sigma, vectors['v'] @ matrix @ vectors['u'], rtol=1e-5)
  assert one.shape == matrix.shape[::-1]
  table = variables['discriminator']['params']['class_embed']['embedding']
  largest = np.linalg.svd(np.asarray(table, np.float64), compute_uv=False)[0]
  embed = found['discriminator', 'class_embed']
  assert embed.shape == table.shape
  np.testing.assert_allclose(embed.largest, largest)
