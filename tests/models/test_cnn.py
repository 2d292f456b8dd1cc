"""The plain CNN: its counts, what it hands out, its options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.inspection import flops
from vitlab.models import cnn

IMAGE = jax.random.normal(jax.random.key(0), (4, 8, 12, 1))


def shapes(image_size, **options):
  """The model, the shapes of an image and of all variables."""
  model = cnn.make(**options)
  image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
  return model, image, jax.eval_shape(model.init, jax.random.key(0), image)


def count(tree) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  ('variant', 'parameters', 'multiply_adds'),
  # The kernels and norms of torchvision's vgg11_bn and vgg16_bn, and one dense layer [512, 1000].
  [
    ('VGG-11', 9_217_728 + 5_504 + 513_000, 7_485_456_384 + 512_000),
    ('VGG-16', 14_710_464 + 8_448 + 513_000, 15_346_630_656 + 512_000),
  ],
)
def test_parameters_and_multiply_adds_at_full_size(variant, parameters, multiply_adds):
  model, image, variables = shapes(224, variant=variant, num_classes=1000)
  assert count(variables['params']) == parameters
  counted = flops.count(lambda v, image: model.apply(v, image)[0], variables, image)
  assert sum(counted.values()) / 2 == multiply_adds


def test_every_layer_and_level_comes_out():
  model, image, variables = shapes(28, num_classes=10)
  assert set(variables['params']) == {*(f'block_{i}' for i in range(6)), 'head'}
  assert set(variables['batch_stats']['block_5']['norm']) == {'mean', 'var'}
  logits, out = jax.eval_shape(model.apply, variables, image)
  assert logits.shape == (1, 10)
  assert [block['features'].shape[1] for block in out['blocks']] == [28, 28, 14, 14, 7, 7]
  assert [level.shape[1:] for level in out['levels']] == [(28, 28, 32), (14, 14, 64), (7, 7, 128)]
  assert out['features'].shape == (1, 128)


@pytest.mark.parametrize('options', [{}, dict(norm='groupnorm', num_groups=2, dtype='bfloat16')])
def test_every_parameter_gets_a_gradient_and_the_numbers_stay_finite(options):
  model = cnn.make('mu', 3, dropout_rate=0.5, **options)
  variables = jax.jit(model.init)(jax.random.key(0), IMAGE)
  variables = jax.tree.map(lambda x: x + 0.1, variables)

  @jax.jit
  def run(params, key):
    def loss(params):
      (logits, _), mutated = model.apply(
        {**variables, 'params': params},
        IMAGE,
        train=True,
        rngs={'dropout': key},
        mutable='batch_stats',
      )
      return jnp.sin(logits).sum(), (logits, mutated)

    return jax.grad(loss, has_aux=True)(params)

  grads, (logits, mutated) = run(variables['params'], jax.random.key(0))
  assert logits.dtype == jnp.float32 and np.isfinite(logits).all()
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    assert abs(leaf).max() > 0 and np.isfinite(leaf).all(), path
  assert set(mutated) == ({'batch_stats'} if not options else set())
  _, (again, _) = run(variables['params'], jax.random.key(1))
  assert abs(again - logits).max() > 0


def test_it_does_not_know_where_it_looks():
  """Without padding in sight, a shifted picture has shifted features."""
  picture = jnp.zeros((1, 24, 24, 1)).at[:, 8:12, 8:12].set(jax.random.normal(jax.random.key(1)))
  model = cnn.make('mu')
  variables = model.init(jax.random.key(0), picture)
  here, there = (
    model.apply(variables, jnp.roll(picture, n, (1, 2)))[1]['levels'][-1] for n in (0, 4)
  )
  np.testing.assert_allclose(
    jnp.roll(here, 2, (1, 2))[:, 2:-2, 2:-2], there[:, 2:-2, 2:-2], atol=1e-6
  )
  assert abs(here - there).max() > 0.1


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (dict(variant='VGG'), "unknown CNN variant 'VGG': did you mean VGG-1"),
    (dict(widths=(8, 16)), r'widths=\(8, 16\) and depths=\(2, 2, 2\): give both'),
    (dict(norm='batch'), "unknown norm 'batch'"),
    (dict(dropout_rate=-0.1), 'dropout_rate=-0.1 is not a probability'),
  ],
)
def test_bad_words_are_answered(options, message):
  with pytest.raises(UserError, match=message):
    cnn.make(**options)
