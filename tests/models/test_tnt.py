"""TNT: published sizes, who hears of whom, equal options, nothing paid for what nobody reads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.inspection import flops
from vitlab.layers import attention
from vitlab.layers.stack import stack_blocks, unstack_blocks
from vitlab.models import tnt

IMAGE = jax.random.normal(jax.random.key(0), (2, 16, 24, 3))
TINY = dict(variant='mu', num_classes=5, patch_size=8, width=16, depth=2, num_heads=2, mlp_dim=24)
GRID, PATCHES, PIXELS = (2, 3), 6, 4


def shapes(image_size=(224, 224), channels=3, **options):
  image = jax.ShapeDtypeStruct((1, *image_size, channels), jnp.float32)
  return jax.eval_shape(tnt.make(**options).init, jax.random.key(0), image), image


def init(**options):
  """A model with no parameter at zero or one; drawn without compiling anything."""
  model, rng = tnt.make(**TINY | options), np.random.default_rng(1)

  def draw(path, leaf):
    kernel = path[-1].key == 'kernel'
    noise = rng.normal(size=leaf.shape) * (np.prod(leaf.shape[:-1]) ** -0.5 if kernel else 0.1)
    return jnp.asarray(noise + (path[-1].key == 'scale'), leaf.dtype)

  variables = jax.eval_shape(model.init, jax.random.key(0), IMAGE)
  return model, jax.tree_util.tree_map_with_path(draw, variables)


@pytest.mark.parametrize(
  ('variant', 'parameters', 'macs'),
  [('S', 23_768_584, 5.2169e9), ('B', 65_428_680, 14.0491e9)],
)
def test_size_and_cost_are_those_of_the_authors_code(variant, parameters, macs):
  variables, image = shapes(variant=variant, num_classes=1000)
  assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == parameters
  model = tnt.make(variant, 1000)
  counted = flops.count(lambda v, x: model.apply(v, x)[0], variables, image)
  assert sum(counted.values()) / 2 == pytest.approx(macs, rel=1e-4)


def test_parameter_names_are_the_interface():
  params = shapes((16, 24), **TINY)[0]['params']
  outside = {'pixel_embed', 'pixel_position', 'projection', 'cls_token', 'position_embedding'}
  assert set(params) == outside | {'encoder', 'norm', 'head'}
  assert params['pixel_embed']['kernel'].shape == (7, 7, 3, 8)
  assert params['pixel_position']['grid'].shape == (2, 2, 8)
  assert params['position_embedding']['grid'].shape == (*GRID, 16)
  assert set(params['encoder']) == {'block_0', 'block_1'}
  block = params['encoder']['block_1']
  assert set(block) == {'inner', 'projection', 'outer'}
  assert set(block['inner']) == set(block['outer']) == {'norm1', 'attention', 'norm2', 'mlp'}
  assert block['inner']['attention']['qkv']['kernel'].shape == (8, 3, 2, 4)
  assert set(block['inner']['attention']['qkv']) == {'kernel'}
  assert block['projection']['dense']['kernel'].shape == (PIXELS * 8, 16)
  assert 'bias' in params['projection']['dense'] and 'bias' not in block['projection']['dense']


@pytest.mark.parametrize('options', [{}, dict(pool='gap', qkv_bias=True, scan=True, mlp='swiglu')])
def test_every_parameter_gets_a_gradient(options):
  model, variables = init(**options)
  loss = lambda v: jnp.sin(model.apply(v, IMAGE)[0]).sum()  # noqa: E731
  for path, gradient in jax.tree.leaves_with_path(jax.jit(jax.grad(loss))(variables)['params']):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    if name.endswith('qkv/bias'):
      gradient = jnp.moveaxis(gradient, -3, 0)[jnp.array([0, 2])]  # softmax ignores the keys' bias
    assert np.isfinite(gradient).all(), name
    assert (gradient != 0).mean() > 0.9, name


def test_every_intermediate_is_there():
  model, variables = init()
  logits, out = jax.jit(model.apply)(variables, IMAGE)
  got = jax.tree.map(jnp.shape, out)
  block = dict(
    attention=(2, 2, 7, 7),
    k=(2, 2, 7, 8),
    v=(2, 2, 7, 8),
    attention_out=(2, 7, 16),
    mlp_out=(2, 7, 16),
    tokens=(2, 7, 16),
    pixels=(2, PATCHES, PIXELS, 8),
    inner_attention=(2, PATCHES, 2, PIXELS, PIXELS),
  )
  assert got == dict(
    pixels=(2, PATCHES, PIXELS, 8),
    embedded=(2, 7, 16),
    blocks=[block] * 2,
    attention=[block['attention']] * 2,
    inner_attention=[block['inner_attention']] * 2,
    encoded=(2, 7, 16),
    levels=[(2, *GRID, 16)],
    features=(2, 16),
    logits=(2, 5),
  )
  np.testing.assert_array_equal(out['logits'], logits)
  np.testing.assert_allclose(out['inner_attention'][1].sum(-1), 1, atol=1e-5)
  np.testing.assert_array_equal(out['levels'][0].reshape(2, PATCHES, 16), out['encoded'][:, 1:])


def test_unread_weights_of_both_attentions_cost_nothing(monkeypatch):
  model, variables = init(depth=1)

  def cost(*read):
    def loss(variables):
      logits, out = model.apply(variables, IMAGE)
      return jnp.sin(logits).sum() + sum(jnp.sin(out[name][0]).sum() for name in read)

    compiled = jax.jit(jax.grad(loss)).lower(variables).compile()
    return compiled.cost_analysis()['flops'], compiled.memory_analysis().temp_size_in_bytes

  unread, read = cost(), cost('attention', 'inner_attention')
  without = lambda q, k, **_: jnp.zeros((*q.shape[:3], k.shape[2]))  # noqa: E731
  monkeypatch.setattr(attention, 'attention_weights', without)
  assert unread == cost()
  assert read[0] > unread[0]


def shuffled(image, order):
  """The image with its patches in another order."""
  patches = image.reshape(2, 2, 8, 3, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 8, 8, 3)
  patches = patches[:, order].reshape(2, 2, 3, 8, 8, 3).transpose(0, 1, 3, 2, 4, 5)
  return patches.reshape(image.shape)


def test_without_positions_the_order_of_patches_does_not_matter():
  """No pixel sees over the edge of its patch: it would with a convolution of the whole image."""
  model, variables = init()
  order = jnp.array([4, 2, 0, 5, 1, 3])
  f = jax.jit(lambda v, image: model.apply(v, image)[0])
  assert abs(f(variables, shuffled(IMAGE, order)) - f(variables, IMAGE)).max() > 1e-3
  grid = variables['params']['position_embedding']['grid']
  variables['params']['position_embedding']['grid'] = jnp.zeros_like(grid)
  np.testing.assert_allclose(
    f(variables, shuffled(IMAGE, order)), f(variables, IMAGE), atol=1e-5, rtol=0
  )


def test_pixel_positions_are_the_same_in_every_patch():
  model, variables = init()
  _, out = jax.jit(model.apply)(variables, jnp.ones_like(IMAGE))
  np.testing.assert_array_equal(out['pixels'], out['pixels'][:, :1].repeat(PATCHES, axis=1))
  assert np.ptp(out['pixels'], axis=2).min() > 0


@pytest.mark.parametrize(
  ('size', 'patch', 'stride', 'pixels'),
  [((8, 12), (4, 6), 2, (2, 3)), ((6, 3), 3, 1, (3, 3)), ((14, 7), 7, 4, (2, 2))],
)
def test_any_image_patch_and_stride(size, patch, stride, pixels):
  image, key = jnp.ones((1, *size, 1)), jax.random.key(0)
  model = tnt.make(**TINY | dict(patch_size=patch, inner_stride=stride))
  (logits, out), variables = jax.eval_shape(model.init_with_output, key, image)
  assert logits.shape == (1, 5)
  assert variables['params']['pixel_position']['grid'].shape == (*pixels, 8)
  grid = variables['params']['position_embedding']['grid'].shape
  assert out['levels'][0].shape == (1, *grid)


def test_scan_and_remat_are_the_same_in_training(x64):
  rates = dict(dropout_rate=0.1, drop_path_rate=0.5, dtype='float64')
  image = IMAGE.astype('float64')
  plain, variables = init(**rates)
  variables = jax.tree.map(lambda p: p.astype('float64'), variables)
  stacked = {'params': stack_blocks(variables['params'])}

  def run(model, variables):
    rngs = {'dropout': jax.random.key(3)}
    loss = lambda v: jnp.sin(model.apply(v, image, True, rngs=rngs)[0]).sum()  # noqa: E731
    return jax.jit(jax.value_and_grad(loss))(variables)

  value, grads = run(plain, variables)
  for options in (dict(scan=True), dict(remat='nothing_saveable')):
    other = tnt.make(**TINY, **rates, **options)
    got, got_grads = run(other, stacked if 'scan' in options else variables)
    np.testing.assert_allclose(got, value, atol=1e-10, rtol=0)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10, rtol=0),
      unstack_blocks(got_grads['params']),
      grads['params'],
    )


def test_training_is_random_only_where_asked():
  model, variables = init(dropout_rate=0.3, drop_path_rate=0.5)
  f = jax.jit(lambda i: model.apply(variables, IMAGE, True, rngs={'dropout': jax.random.key(i)})[0])
  assert abs(f(0) - f(1)).max() > 0
  np.testing.assert_array_equal(f(0), f(0))
  model = tnt.make(**TINY)
  f = jax.jit(lambda train: model.apply(variables, IMAGE, train)[0], static_argnums=0)
  np.testing.assert_array_equal(f(True), f(False))


def test_16_bits_compute_and_32_bits_remember():
  model, variables = init()
  exact, _ = jax.jit(model.apply)(variables, IMAGE)
  half = tnt.make(**TINY, dtype='bfloat16')
  fresh = jax.eval_shape(half.init, jax.random.key(0), IMAGE)
  assert {leaf.dtype for leaf in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  logits, out = jax.jit(half.apply)(variables, IMAGE)
  assert logits.dtype == out['inner_attention'][0].dtype == jnp.float32
  assert out['encoded'].dtype == out['blocks'][0]['pixels'].dtype == jnp.bfloat16
  assert 0 < abs(logits - exact).max() < 0.05 * abs(exact).max()


def test_a_new_model_guesses_and_starts_as_the_authors_do():
  model = tnt.make('S', 10, patch_size=8, depth=1)
  (logits, out), variables = jax.jit(model.init_with_output)(jax.random.key(0), IMAGE)
  np.testing.assert_array_equal(logits, 0)
  assert out['features'].all()
  params = variables['params']
  block = params['encoder']['block_0']
  for kernel in (
    params['projection']['dense']['kernel'],
    params['position_embedding']['grid'],
    block['projection']['dense']['kernel'],
    block['inner']['mlp']['up']['kernel'],
    block['outer']['attention']['qkv']['kernel'],
    block['outer']['attention']['out']['kernel'],
  ):
    assert abs(kernel.std() / 0.02 - 1) < 0.1
  bound = (7 * 7 * 3) ** -0.5
  assert 0.99 * bound < abs(params['pixel_embed']['kernel']).max() <= bound


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (dict(variant='L'), "unknown TNT variant 'L'"),
    (dict(pool='map'), "unknown pool 'map'.*gap"),
    (dict(mlp='gleu'), "unknown mlp 'gleu': did you mean gelu"),
    (dict(dtype='bf16'), "unknown dtype 'bf16'.*bfloat16"),
    (dict(num_heads=5), 'width 384 does not divide into 5 heads'),
    (dict(inner_num_heads=5), 'width 24 does not divide into 5 heads'),
    (dict(remat='everything'), "unknown remat 'everything'"),
    (dict(drop_path_rate=1.0), 'drop_path_rate=1.0 is not a probability'),
  ],
)
def test_bad_words_are_answered(options, message):
  with pytest.raises(UserError, match=message):
    tnt.make(**dict(variant='S') | options)


def test_a_cut_patch_is_refused():
  with pytest.raises(UserError, match='16×20 pixels is not a whole number of patches of 8×8'):
    shapes((16, 20), **TINY)
