"""ResNet: published sizes, one result whatever the options, statistics through the engine."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vitlab import registry
from vitlab.errors import UserError
from vitlab.inspection import flops
from vitlab.models import resnet
from vitlab.tasks import classification
from vitlab.train import sharding, step
from vitlab.train.setup import on_mesh

IMAGE = jax.random.normal(jax.random.key(0), (4, 16, 12, 3))
TINY = dict(variant='mu', num_classes=5, stem='small')
NO_VARIABLES = ('dropout_rate', 'drop_path_rate', 'remat', 'dtype')  # they change none
GROUPS = dict(norm='groupnorm', num_groups=4, weight_standardization=True)


def at_full_size(image_size=224, **options):
  """The shapes of all variables, and multiply-adds of one image."""
  model = resnet.make(**options)
  image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), image)
  counted = flops.count(lambda variables, image: model.apply(variables, image)[0], variables, image)
  return variables, sum(counted.values()) / 2


def count(tree) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@cache
def drawn(**options):
  """Variables none of which is left at zero or one."""
  model = resnet.make(**TINY | options)
  variables = jax.eval_shape(model.init, jax.random.key(1), IMAGE)
  numbers = np.random.default_rng(0)

  def draw(path, leaf):
    fan_in = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 9
    start = 1.0 if path[-1].key in ('scale', 'var') else 0.0
    return jnp.asarray(start + numbers.uniform(-1, 1, leaf.shape) / fan_in**0.5, leaf.dtype)

  return jax.tree_util.tree_map_with_path(draw, variables)


@cache
def run(train=False, key=0, others=0.0, **options):
  """Logits, intermediates, statistics and gradients; `others` is added to all images but one."""
  model = resnet.make(**TINY | options)
  variables = drawn(**{k: v for k, v in options.items() if k not in NO_VARIABLES})

  @jax.jit
  def both(params):
    def loss(params):
      (logits, out), mutated = model.apply(
        {**variables, 'params': params},
        IMAGE.at[1:].add(others),
        train,
        rngs={'dropout': jax.random.key(key)},
        mutable='batch_stats',
      )
      return jnp.sin(logits).sum(), (logits, out, mutated)

    return jax.grad(loss, has_aux=True)(params)

  grads, results = both(variables['params'])
  return *results, grads


@pytest.mark.parametrize(
  ('variant', 'parameters', 'multiply_adds'),
  [
    ('18', 11_689_512, 1.8141e9),
    ('34', 21_797_672, 3.6638e9),
    ('50', 25_557_032, 4.0892e9),
    ('101', 44_549_160, 7.8014e9),
    ('152', 60_192_808, 11.514e9),
  ],
)
def test_parameters_and_multiply_adds_at_full_size(variant, parameters, multiply_adds):
  variables, counted = at_full_size(variant=variant, num_classes=1000)
  assert count(variables['params']) == parameters
  assert counted == pytest.approx(multiply_adds, rel=5e-5)


def test_the_paper_s_resnet_of_cifar():
  """ResNet-20 of section 4.2 has 0.27 M parameters; ours project where shapes change."""
  words = dict(variant='18', depths=(3, 3, 3), width=16, stem='small', num_classes=10)
  variables, counted = at_full_size(32, **words)
  assert count(variables['params']) == 272_474
  assert counted == pytest.approx(41e6, rel=0.01)


def test_parameter_names_are_the_interface():
  variables = drawn()
  assert set(variables['params']) == {'stem', 'stage_0', 'stage_1', 'head'}
  assert set(variables['params']['stage_1']) == {'block_0', 'block_1'}
  layers = {f'{kind}{i}' for kind in ('conv', 'norm') for i in (1, 2, 3)}
  assert set(variables['params']['stage_1']['block_1']) == layers
  first = variables['params']['stage_1']['block_0']
  assert set(first) == layers | {'conv_shortcut', 'norm_shortcut'}
  assert first['conv2']['kernel'].shape == (3, 3, 16, 16)
  assert set(variables['batch_stats']['stem']['norm']) == {'mean', 'var'}
  assert 'conv3' not in drawn(block='basic')['params']['stage_0']['block_0']


def test_levels_are_where_the_stages_end():
  for stem, sizes in {'imagenet': [(16, 12), (8, 6)], 'small': [(64, 48), (32, 24)]}.items():
    model = resnet.make(**TINY | dict(stem=stem))
    image = jax.ShapeDtypeStruct((2, 64, 48, 1), jnp.float32)
    _, (_, out) = jax.eval_shape(
      lambda image, m=model: (v := m.init(jax.random.key(0), image), m.apply(v, image)), image
    )
    assert [level.shape[1:3] for level in out['levels']] == sizes
    assert [level.shape[-1] for level in out['levels']] == [32, 64]
    assert [block['features'].shape[1:3] for block in out['blocks']] == [sizes[0], *[sizes[1]] * 2]
    assert out['features'].shape == (2, 64)


def test_every_block_starts_as_its_shortcut():
  model = resnet.make(**TINY | dict(depths=(2,)))
  _, out = jax.jit(lambda: model.init_with_output(jax.random.key(0), IMAGE)[0])()
  before, after = (block['features'] for block in out['blocks'])
  np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize('options', [{}, dict(block='basic'), GROUPS], ids=['50', '18', 'groups'])
def test_every_parameter_gets_a_gradient(options):
  *_, grads = run(True, **options)
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    assert abs(leaf).max() > 1e-6, path


def test_the_image_never_meets_another_but_in_batchnorm():
  def first_logits(train, **options):
    return [run(train, others=others, **options)[0][0] for others in (0.0, 1.0)]

  np.testing.assert_allclose(*first_logits(False), rtol=1e-5)
  np.testing.assert_allclose(*first_logits(True, **GROUPS), rtol=1e-5)
  a, b = first_logits(True)
  assert abs(a - b).max() > 1e-2


def test_remat_changes_no_result():
  options = dict(drop_path_rate=0.5)
  plain, again = run(True, **options), run(True, **options, remat='nothing_saveable')
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # noqa: E731
  jax.tree.map(close, plain, again)


@pytest.mark.parametrize('option', ['dropout_rate', 'drop_path_rate'])
def test_training_is_random_only_where_asked(option):
  rate = {option: 0.5}
  one, other, never = (run(True, key, **r)[0] for key, r in [(0, rate), (1, rate), (0, {})])
  assert abs(one - other).max() > 1e-3 and abs(one - never).max() > 1e-3
  np.testing.assert_array_equal(run(False, **rate)[0], run(False)[0])


def test_sixteen_bits_are_close_and_logits_float32():
  exact, *_ = run(True)
  logits, out, mutated, grads = run(True, dtype='bfloat16')
  assert logits.dtype == jnp.float32 and out['features'].dtype == jnp.bfloat16
  assert {leaf.dtype for leaf in jax.tree.leaves((mutated, grads))} == {jnp.dtype('float32')}
  assert 0 < abs(logits - exact).max() < 0.1 * abs(exact).max()


def test_without_classes_the_features_come_out():
  logits, out, *_ = run(num_classes=None)
  np.testing.assert_array_equal(logits, out['features'])


@cache
def trained(devices: int):
  """Two steps of the engine, in microbatches and with an average, on a mesh."""
  mesh = sharding.make_mesh(dict(data=-1), jax.devices()[:devices])
  task = classification.make(resnet.make(**TINY | dict(depths=(1,), width=4)), num_classes=5)
  optimizers = {'model': optax.sgd(0.1)}
  images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1), dtype=np.uint8)
  batch = dict(image=jnp.asarray(images), label=jnp.arange(16) % 5)
  init = jax.jit(lambda: step.init_state(task, optimizers, jax.random.key(0), batch, 0.9))
  state = jax.device_put(init(), sharding.state_shardings(jax.eval_shape(init), mesh))
  train_step = step.make_train_step(task, optimizers, seed=0, ema_decay=0.9, microbatches=2)
  train_step = jax.jit(on_mesh(mesh, train_step))
  batch = jax.device_put(batch, sharding.batch_sharding(mesh))
  for _ in range(2):
    state, _ = train_step(state, batch)
  return jax.tree.map(np.asarray, state)


def test_statistics_on_eight_devices_are_those_on_one():
  one, eight = trained(1), trained(8)
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)  # noqa: E731
  jax.tree.map(close, eight, one)
  moved = one.variables['model']['batch_stats']['stem']['norm']['mean']
  averaged = one.averaged()['model']['batch_stats']['stem']['norm']['mean']
  assert abs(moved).min() > 0
  assert (abs(averaged - moved) > 0).all()


def test_a_hybrid_is_a_vit_on_the_last_level():
  """R26+S/32 (arXiv:2106.10270): the ResNet brings 224 pixels to the 7 × 7 tokens of an S/32."""
  backbone = dict(name='resnet', variant='26', norm='groupnorm', weight_standardization=True)
  spec = dict(name='vit', variant='S/1', num_classes=1000, backbone=backbone | dict(padding='same'))
  model = registry.make('models', spec)
  image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), image)
  assert set(variables) == {'params'}
  assert count(variables['params']) == 36_431_912  # as timm's vit_small_r26_s32_224
  logits, out = jax.eval_shape(model.apply, variables, image)
  assert logits.shape == (1, 1000)
  assert [level.shape[1] for level in out['backbone']['levels']] == [56, 28, 14, 7]
  assert out['levels'][0].shape == (1, 7, 7, 384)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (dict(variant='20'), "unknown ResNet variant '20'"),
    (dict(block='bottle'), "unknown block of ResNet 'bottle': did you mean bottleneck"),
    (dict(depths=(2, 0)), r'depths=\(2, 0\) need to be 1 or more'),
    (dict(stem='cifar'), "unknown stem of ResNet 'cifar': .*imagenet, small"),
    (dict(norm='batch'), "unknown norm 'batch': did you mean batchnorm"),
    (dict(padding='valid'), "unknown padding 'valid'"),
    (dict(drop_path_rate=1.0), 'drop_path_rate=1.0 is not a probability'),
    (dict(dtype='bf16'), "unknown dtype 'bf16'"),
    (dict(remat='all'), "unknown remat 'all'"),
  ],
)
def test_bad_words_are_answered(options, message):
  with pytest.raises(UserError, match=message):
    resnet.make(**options)
