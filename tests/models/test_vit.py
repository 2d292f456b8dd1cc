"""The Vision Transformer: published sizes, equal options, nothing paid for what nobody reads."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.layers import attention
from vitlab.models import vit

IMAGE = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
TINY = dict(variant='mu/4', num_classes=5, width=16, depth=2, num_heads=2, mlp_dim=24)


def shapes(image_size=224, **options):
  image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
  return jax.eval_shape(vit.make(**options).init, jax.random.key(0), image)['params']


def count(tree) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def init(**options):
  """A model with no parameter at zero or one; drawn without compiling anything."""
  model, rng = vit.make(**TINY | options), np.random.default_rng(1)

  def draw(path, leaf):
    kernel = path[-1].key == 'kernel'
    noise = rng.normal(size=leaf.shape) * (np.prod(leaf.shape[:-1]) ** -0.5 if kernel else 0.1)
    return jnp.asarray(noise + (path[-1].key == 'scale'), leaf.dtype)

  variables = jax.eval_shape(model.init, jax.random.key(0), IMAGE)
  return model, jax.tree_util.tree_map_with_path(draw, variables)


@pytest.mark.parametrize(
  ('variant', 'image_size', 'parameters'),
  [
    ('Ti/16', 224, 5_717_416),
    ('S/16', 224, 22_050_664),
    ('S/32', 224, 22_878_952),
    ('B/16', 224, 86_567_656),
    ('B/32', 224, 88_224_232),
    ('B/16', 384, 86_859_496),
    ('L/16', 224, 304_326_632),
    ('H/14', 224, 632_045_800),
  ],
)
def test_number_of_parameters_at_full_size(variant, image_size, parameters):
  assert count(shapes(image_size, variant=variant, num_classes=1000)) == parameters
  assert count(shapes(image_size, variant=variant, num_classes=1000, scan=True)) == parameters


@pytest.mark.parametrize(
  ('variant', 'parameters'), [('Ti/16', 5_910_800), ('S/16', 22_436_432), ('B/16', 87_338_192)]
)
def test_number_of_parameters_of_distilled_deits(variant, parameters):
  assert count(shapes(variant=variant, num_classes=1000, distillation_token=True)) == parameters


def test_swiglu_costs_no_more_parameters():
  plain = count(shapes(variant='B/16', num_classes=1000))
  assert abs(count(shapes(variant='B/16', num_classes=1000, mlp='swiglu')) / plain - 1) < 0.001


def test_parameter_names_are_the_interface():
  params = shapes(8, **TINY, num_registers=2, qk_norm=True, layer_scale=0.1)
  outside = {'patch_embed', 'cls_token', 'registers', 'position_embedding'}
  assert set(params) == outside | {'encoder', 'norm', 'head'}
  assert set(params['encoder']) == {'block_0', 'block_1'}
  block = params['encoder']['block_0']
  assert set(block) == {'norm1', 'attention', 'scale1', 'norm2', 'mlp', 'scale2'}
  assert set(block['attention']) == {'qkv', 'q_norm', 'k_norm', 'out'}
  assert block['attention']['qkv']['kernel'].shape == (16, 3, 2, 8)
  assert block['attention']['qkv']['bias'].shape == (3, 2, 8)
  assert block['attention']['out']['kernel'].shape == (2, 8, 16)
  scanned = shapes(8, **TINY, scan=True)['encoder']['blocks']
  assert scanned['attention']['qkv']['kernel'].shape == (2, 16, 3, 2, 8)


@pytest.mark.parametrize(
  'options',
  [
    dict(num_registers=2, layer_scale=0.5, qk_norm=True),
    dict(distillation_token=True),
    dict(pool='gap', position_embedding='sincos_2d', mlp='swiglu', scan=True),
    dict(pool='gap_norm', position_embedding='learned_patches', norm='rmsnorm', mlp='gelu'),
    dict(pool='map', position_embedding='rope_2d', qkv_bias=False, num_registers=1),
  ],
)
def test_every_parameter_gets_a_gradient(options):
  model, variables = init(**options)
  loss = lambda v: jnp.sin(model.apply(v, IMAGE)[0]).sum()  # noqa: E731
  for path, gradient in jax.tree.leaves_with_path(jax.jit(jax.grad(loss))(variables)['params']):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    if name.endswith('k_norm/bias'):
      continue  # adds the same to all logits of a query, which the softmax ignores
    if name.endswith('kv/bias'):
      gradient = jnp.delete(gradient, -2, -3)  # softmax ignores the keys' bias
    assert np.isfinite(gradient).all()
    assert (gradient != 0).mean() > 0.9, jax.tree_util.keystr(path)


def test_a_new_model_guesses():
  model = vit.make(**TINY)
  (logits, out), _ = jax.jit(model.init_with_output)(jax.random.key(0), IMAGE)
  np.testing.assert_array_equal(logits, 0)
  assert out['features'].all()


def test_every_intermediate_is_there():
  model, variables = init(num_registers=3)
  logits, out = jax.jit(model.apply)(variables, IMAGE)
  got = jax.tree.map(jnp.shape, out)
  block = dict(
    attention=(2, 2, 10, 10),
    k=(2, 2, 10, 8),
    v=(2, 2, 10, 8),
    attention_out=(2, 10, 16),
    mlp_out=(2, 10, 16),
    tokens=(2, 10, 16),
  )
  assert got == dict(
    patches=(2, 2, 3, 16),
    embedded=(2, 10, 16),
    blocks=[block] * 2,
    attention=[(2, 2, 10, 10)] * 2,
    encoded=(2, 10, 16),
    levels=[(2, 2, 3, 16)],
    features=(2, 16),
    logits=(2, 5),
  )
  np.testing.assert_array_equal(out['logits'], logits)
  np.testing.assert_allclose(out['attention'][1].sum(-1), 1, atol=1e-5)
  np.testing.assert_array_equal(out['levels'][0].reshape(2, 6, 16), out['encoded'][:, 4:])


def test_the_distillation_token_stands_second_and_has_a_head_of_its_own():
  model, variables = init(distillation_token=True, num_registers=2)
  params = variables['params']
  assert params['position_embedding']['prefix'].shape == (4, 16)
  f = jax.jit(model.apply, static_argnums=2)
  logits, out = f(variables, IMAGE, True)
  head = lambda name, x: x @ params[name]['kernel'] + params[name]['bias']  # noqa: E731
  np.testing.assert_allclose(logits, head('head', out['encoded'][:, 0]), atol=1e-5)
  distilled = head('head_dist', out['encoded'][:, 1])
  np.testing.assert_allclose(out['distillation_logits'], distilled, atol=1e-5)
  mean, evaluated = f(variables, IMAGE, False)
  np.testing.assert_allclose(mean, (logits + distilled) / 2, atol=1e-5)
  np.testing.assert_array_equal(evaluated['logits'], mean)
  np.testing.assert_allclose(evaluated['distillation_logits'], distilled, atol=1e-5)
  assert out['levels'][0].shape == (2, 2, 3, 16)


def test_a_new_distillation_token_is_not_the_class_token():
  model = vit.make(**TINY, distillation_token=True, position_embedding='none')
  run = jax.jit(partial(model.init_with_output, train=True))
  (_, out), _ = run(jax.random.key(0), IMAGE)
  assert abs(out['features'] - out['distillation_features']).max() > 1e-3


class Pyramid(nn.Module):
  """A backbone with what backbones have: levels, statistics, a behaviour in training."""

  @nn.compact
  def __call__(self, image, train=False):
    fine = nn.Conv(4, (2, 2), (2, 2), name='stem')(image)
    coarse = nn.Conv(6, (2, 2), (2, 2), name='stage')(fine)
    coarse = nn.BatchNorm(use_running_average=not train, name='norm')(coarse)
    return coarse.mean((1, 2)), {'levels': [fine, coarse]}


def test_a_hybrid_embeds_the_last_level_of_its_backbone():
  model, hybrid = vit.make(**TINY | dict(patch_size=1)), dict(patch_size=1, backbone=Pyramid())
  hybrid = vit.make(**TINY | hybrid)
  variables = jax.jit(hybrid.init)(jax.random.key(0), IMAGE)
  variables = jax.tree.map(lambda x: x + 0.1, variables)
  assert set(variables['params']) == {*shapes(8, **TINY), 'backbone'}
  assert set(variables['batch_stats']) == {'backbone'}
  _, out = hybrid.apply(variables, IMAGE)
  backbone = {name: tree['backbone'] for name, tree in variables.items()}
  level = Pyramid().apply(backbone, IMAGE)[1]['levels'][-1]
  np.testing.assert_array_equal(out['backbone']['levels'][-1], level)
  params = {name: tree for name, tree in variables['params'].items() if name != 'backbone'}
  _, expected = model.apply({'params': params}, level)
  np.testing.assert_allclose(out['encoded'], expected['encoded'], atol=1e-5)
  assert out['levels'][0].shape == (2, 2, 3, 16)
  _, mutated = hybrid.apply(variables, IMAGE, train=True, mutable='batch_stats')
  moved = jax.tree.map(
    lambda a, b: (a != b).all(), mutated, {'batch_stats': variables['batch_stats']}
  )
  assert all(jax.tree.leaves(moved))


@pytest.mark.parametrize('scan', [False, True])
@pytest.mark.parametrize('train', [False, True])
def test_unread_attention_weights_cost_nothing(scan, train, monkeypatch):
  """The compiled program is that of a model which does not have them, gradients included."""
  model, variables = init(scan=scan)

  def cost(read=False):
    def loss(variables):
      logits, out = model.apply(variables, IMAGE)
      return jnp.sin(logits).sum() + (jnp.sin(out['attention'][0]).sum() if read else 0.0)

    compiled = jax.jit(jax.grad(loss) if train else loss).lower(variables).compile()
    return compiled.cost_analysis()['flops'], compiled.memory_analysis().temp_size_in_bytes

  unread, read = cost(), cost(read=True)
  without = lambda q, k, **_: jnp.zeros((*q.shape[:3], k.shape[2]))  # noqa: E731
  monkeypatch.setattr(attention, 'attention_weights', without)
  assert unread == cost()
  assert read[0] > unread[0]


def test_any_image_and_patch_size():
  for size, patch, tokens in [((8, 12), (4, 2), 13), ((6, 3), 3, 3), ((4, 4), 4, 2)]:
    model, image = vit.make(**TINY | dict(patch_size=patch)), jnp.ones((1, *size, 1))
    (_, out), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), image)
    assert out['encoded'].shape == (1, tokens, 16)


@pytest.mark.parametrize('position_embedding', ['rope_2d', 'sincos_2d', 'none'])
def test_without_learned_positions_the_image_size_may_change(position_embedding):
  model, variables = init(position_embedding=position_embedding)
  logits, _ = jax.eval_shape(model.apply, variables, jnp.ones((2, 16, 8, 3)))
  assert logits.shape == (2, 5)


@pytest.mark.parametrize('position_embedding', ['rope_2d', 'sincos_2d', 'learned', 'none'])
def test_positions_tell_patches_apart(position_embedding):
  """A mirrored image is another one, but for a model that does not know where its patches are."""
  model, variables = init(position_embedding=position_embedding)
  f = jax.jit(lambda image: model.apply(variables, image)[0])
  patches = IMAGE.reshape(2, 2, 4, 3, 4, 3)
  swapped = patches[:, :, :, ::-1].reshape(IMAGE.shape)
  difference = abs(f(swapped) - f(IMAGE)).max()
  assert difference < 1e-5 if position_embedding == 'none' else difference > 1e-3


def test_16_bits_compute_and_32_bits_remember():
  model, variables = init(qk_norm=True, num_registers=1)
  exact, _ = jax.jit(model.apply)(variables, IMAGE)
  half = vit.make(**TINY, qk_norm=True, num_registers=1, dtype='bfloat16')
  fresh = jax.eval_shape(half.init, jax.random.key(0), IMAGE)
  assert {leaf.dtype for leaf in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  logits, out = jax.jit(half.apply)(variables, IMAGE)
  assert logits.dtype == out['attention'][0].dtype == jnp.float32
  assert out['encoded'].dtype == out['features'].dtype == jnp.bfloat16
  assert 0 < abs(logits - exact).max() < 0.05 * abs(exact).max()
  gradients = jax.eval_shape(jax.grad(lambda v: half.apply(v, IMAGE)[0].sum()), variables)
  assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {jnp.dtype('float32')}


def test_training_is_random_only_where_asked():
  model, variables = init(dropout_rate=0.5)
  run = jax.jit(model.apply, static_argnums=2)
  f = lambda i: run(variables, IMAGE, True, rngs={'dropout': jax.random.key(i)})[0]  # noqa: E731
  assert abs(f(0) - f(1)).max() > 0
  np.testing.assert_array_equal(f(0), f(0))
  run = jax.jit(vit.make(**TINY).apply, static_argnums=2)
  np.testing.assert_array_equal(*(run(variables, IMAGE, t)[0] for t in (True, False)))


def test_without_classes_the_features_come_out():
  model, variables = init(num_classes=None)
  logits, out = jax.jit(model.apply)(variables, IMAGE)
  np.testing.assert_array_equal(logits, out['features'])


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (dict(variant='X/16'), "unknown ViT variant 'X'"),
    (dict(variant='S'), 'no patch size: write S/16'),
    (dict(pool='mean'), "unknown pool 'mean'.*map"),
    (dict(class_token=False), "pool='cls' reads the class token"),
    (dict(distillation_token=True, pool='gap'), "goes with a class token: pool='cls', not 'gap'"),
    (dict(position_embedding='rope'), "unknown position_embedding 'rope': did you mean rope_2d"),
    (dict(position_embedding='rope_2d', width=12, num_heads=2), 'multiple of 4'),
    (dict(mlp='gleu'), "unknown mlp 'gleu': did you mean gelu"),
    (dict(norm='batchnorm'), "unknown norm 'batchnorm'"),
    (dict(dtype='bf16'), "unknown dtype 'bf16'.*bfloat16"),
    (dict(width=30, num_heads=4), 'width 30 does not divide into 4 heads'),
    (dict(remat='everything'), "unknown remat 'everything'"),
  ],
)
def test_bad_words_are_answered(options, message):
  with pytest.raises(UserError, match=message):
    vit.make(**dict(variant='mu/4') | options)
