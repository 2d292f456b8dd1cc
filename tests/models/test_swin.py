"""Swin: published sizes and costs, any image size, equal however its blocks are run."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.inspection import flops
from vitlab.layers.stack import stack_blocks, unstack_blocks
from vitlab.models import swin

IMAGE = jax.random.normal(jax.random.key(0), (2, 22, 38, 3))
TINY = dict(num_classes=5, patch_size=2, width=8, num_heads=(1, 2))
VERSIONS = ['mu', 'V2-mu']


def abstract(image_size=224, channels=3, **options):
  """A model, the shapes of its variables and of an image."""
  model = swin.make(**options)
  image = jax.ShapeDtypeStruct((1, image_size, image_size, channels), jnp.float32)
  return model, jax.eval_shape(model.init, jax.random.key(0), image), image


def count(tree) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@cache
def trained(variant='mu'):
  """Variables of a tiny model, none of them zero: drawn, because an initialiser takes compiling."""
  random = np.random.default_rng(1)
  model = swin.make(variant, **TINY)
  shapes = jax.eval_shape(model.init, jax.random.key(0), IMAGE)

  def draw(leaf):
    scale = 0.3 if len(leaf.shape) < 2 else leaf.shape[0] ** -0.5
    return (random.normal(size=leaf.shape) * scale).astype('float32')

  return jax.tree.map(draw, shapes)


@cache
def run(variant='mu', **options):
  """Logits, every intermediate and every gradient."""
  model = swin.make(variant, **TINY, **options)
  scan = options.get('scan', False)

  @jax.jit
  def gradient(variables):
    def loss(variables):
      logits, out = model.apply(variables, IMAGE)
      return jnp.sin(logits).sum(), (logits, out)

    return jax.grad(loss, has_aux=True)(variables)

  variables = trained(variant)
  grads, (logits, out) = gradient(stack_blocks(variables) if scan else variables)
  return logits, out, unstack_blocks(grads)


@pytest.mark.parametrize(
  ('variant', 'image_size', 'options', 'parameters', 'gmacs'),
  [
    ('T', 224, {}, 28_288_354, 4.4906),
    ('S', 224, {}, 49_606_258, 8.7409),
    ('B', 224, {}, 87_768_224, 15.4309),
    ('B', 384, dict(window_size=12), 87_903_584, 47.0831),
    ('L', 224, {}, 196_532_476, 34.4758),
    ('V2-T', 256, {}, 28_347_154, 5.9397),
    ('V2-S', 256, {}, 49_728_418, 11.5459),
    ('V2-B', 256, {}, 87_918_816, 20.3251),
    ('V2-T', 256, dict(window_size=16), 28_347_154, 6.6606),
    ('V2-B', 256, dict(window_size=16), 87_918_816, 21.9692),
  ],
)
def test_parameters_and_multiplications_at_full_size(
  variant, image_size, options, parameters, gmacs
):
  # Scanned, the trace is a tenth of the size; the numbers are the same.
  options = dict(variant=variant, num_classes=1000, scan=True, **options)
  model, variables, image = abstract(image_size, **options)
  assert count(variables) == parameters
  total = sum(flops.count(lambda v, x: model.apply(v, x)[0], variables, image).values())
  assert total / 2e9 == pytest.approx(gmacs, abs=1e-4)


def test_parameter_names_are_the_interface():
  _, variables, _ = abstract(32, variant='mu', num_classes=5)
  params = variables['params']
  assert set(params) == {
    'patch_embed',
    'patch_norm',
    'stage_0',
    'merging_1',
    'stage_1',
    'norm',
    'head',
  }
  assert set(params['merging_1']) == {'norm', 'reduction'}
  assert set(params['stage_1']) == {'block_0', 'block_1'}
  block = params['stage_1']['block_1']
  assert set(block) == {'norm1', 'attention', 'norm2', 'mlp'}
  assert set(block['attention']) == {'qkv', 'out', 'position_bias'}
  assert block['attention']['position_bias']['table'].shape == (7, 7, 4)
  assert block['attention']['qkv']['kernel'].shape == (32, 3, 4, 8)


@pytest.mark.parametrize('variant', VERSIONS)
def test_every_intermediate_is_there(variant):
  logits, out, _ = run(variant)
  got = jax.tree.map(jnp.shape, out)
  fine, coarse = (2, 11, 19, 8), (2, 6, 10, 16)
  # 11 × 19 tokens are 3 × 5 windows of 4 × 4, and 6 × 10 are 2 × 3.
  weights = [(2, 15, 1, 16, 16)] * 2 + [(2, 6, 2, 16, 16)] * 2
  maps = [fine] * 2 + [coarse] * 2
  assert got == dict(
    embedded=fine,
    blocks=[dict(attention=a, attention_out=m, mlp_out=m, tokens=m) for a, m in zip(weights, maps)],
    attention=weights,
    levels=[fine, coarse],
    encoded=coarse,
    features=(2, 16),
    logits=(2, 5),
  )
  np.testing.assert_array_equal(out['logits'], logits)
  np.testing.assert_array_equal(out['levels'][0], out['blocks'][1]['tokens'])
  for attention in out['attention']:
    np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)


def test_what_the_shift_brought_together_does_not_look():
  """The last window of a shifted map holds four corners of it."""
  plain, shifted = (np.asarray(out[:, -1, 0]) for out in run()[1]['attention'][:2])
  assert (plain > 0).all()
  corner = shifted[0].reshape(4, 4, 4, 4)
  assert (corner[:2, :2, :2, :2] > 0).all()
  assert (corner[:2, :2, 2:] == 0).all()
  assert (corner[:2, :2, :, 2:] == 0).all()


@pytest.mark.parametrize('variant', VERSIONS)
def test_scan_and_remat_change_nothing(variant):
  """Logits, every block and every gradient."""
  close = lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4, rtol=1e-3)  # noqa: E731
  jax.tree.map(close, run(variant), run(variant, scan=True, remat='nothing_saveable'))


@pytest.mark.parametrize('variant', VERSIONS)
def test_every_parameter_gets_a_gradient(variant):
  for path, gradient in jax.tree.leaves_with_path(run(variant)[2]):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    if 'attention/qkv/bias' in name:
      gradient = gradient[jnp.array([0, 2])]  # softmax ignores the keys' bias
    assert np.isfinite(gradient).all(), name
    # Some units of the position bias' ReLU sleep.
    assert (gradient != 0).mean() > (0.3 if 'position_bias/' in name else 0.9), name


@pytest.mark.parametrize('variant', VERSIONS)
def test_any_image_size_and_number_of_channels(variant):
  model = swin.make(variant, **TINY)
  for shape in [(1, 16, 16, 3), (1, 3, 50, 1), (2, 31, 17, 5)]:
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    (logits, out), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), image)
    assert logits.shape == (shape[0], 5)
    rows, columns = (-(-n // 4) for n in shape[1:3])
    assert out['levels'][1].shape == (shape[0], rows, columns, 16)


@pytest.mark.parametrize('variant', VERSIONS)
def test_the_image_size_may_change_with_the_same_weights(variant):
  """Windows shrink with the map; those that grow need a table that knows their offsets."""
  model = swin.make(variant, **TINY)
  shape = lambda *size: jax.eval_shape(model.apply, trained(variant), jnp.ones((1, *size, 3)))  # noqa: E731
  for size in [(8, 8), (40, 24)]:
    assert shape(*size)[0].shape == (1, 5)
  small = abstract(8, variant=variant, **TINY)[1]
  apply = lambda: jax.eval_shape(model.apply, small, jnp.ones((1, 32, 32, 3)))  # noqa: E731
  if variant == 'mu':
    with pytest.raises(UserError, match='learned on 2×2'):
      apply()
  else:
    apply()


def test_padding_of_an_image_is_black_pixels():
  image = IMAGE[:, :21, :37]
  padded = jnp.pad(image, ((0, 0), (0, 1), (0, 1), (0, 0)))
  embed = jax.jit(lambda v, x: swin.make('mu', **TINY).apply(v, x)[1]['embedded'])
  np.testing.assert_allclose(embed(trained(), image), embed(trained(), padded), atol=1e-6)


def test_drop_path_rises_linearly_over_all_stages():
  stages = swin.make('mu', depths=(2, 4), drop_path_rate=0.5).stages
  rates = np.concatenate([stage._rates() for stage in stages])
  np.testing.assert_allclose(rates, np.linspace(0, 0.5, 6), atol=1e-6)


def test_training_is_random_only_where_asked():
  model = swin.make('mu', **TINY, drop_path_rate=0.9)

  @jax.jit
  def level(variables, key):
    """The first, of which the second block alone is dropped."""
    rngs = {'dropout': key}
    return [model.apply(variables, IMAGE, t, rngs=rngs)[1]['levels'][0] for t in (True, False)]

  (a, b), (c, d) = (level(trained(), jax.random.key(i)) for i in (0, 1))
  assert (a != c).any()
  np.testing.assert_array_equal(b, d)
  np.testing.assert_allclose(b, run()[1]['levels'][0], atol=1e-5)


def test_16_bits_compute_and_32_bits_remember():
  exact = run('V2-mu')[0]
  logits, out, gradients = run('V2-mu', scan=True, dtype='bfloat16')
  assert logits.dtype == out['attention'][0].dtype == jnp.float32
  assert out['levels'][0].dtype == out['features'].dtype == jnp.bfloat16
  assert 0 < abs(logits - exact).max() < 0.05 * abs(exact).max()
  assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {jnp.dtype('float32')}
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_a_new_model_of_version_2_is_its_patches():
  """Its norms start at zero, so that a block adds nothing."""
  model = swin.make('V2-mu', **TINY | dict(depths=(1,), num_heads=(1,)))
  (_, out), _ = jax.jit(model.init_with_output)(jax.random.key(0), IMAGE[:1, :8, :8])
  np.testing.assert_array_equal(out['levels'][0], out['embedded'])


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (dict(variant='V3-T'), "unknown Swin variant 'V3-T': did you mean V2-T"),
    (dict(depths=(2, 2)), r'depths=\(2, 2\), num_heads=\(3, 6, 12, 24\).* one number a stage'),
    (dict(pretrained_window_sizes=(8, 8)), r'sizes=\(8, 8\) need one number a stage'),
    (dict(width=98), 'width 98, doubled every stage, does not divide into num_heads'),
    (dict(drop_path_rate=1.0), 'drop_path_rate=1.0 is not a probability'),
    (dict(dtype='bf16'), "unknown dtype 'bf16'.*bfloat16"),
    (dict(remat='everything'), "unknown remat 'everything'"),
    (dict(window_size=0), 'window_size=0'),
    (dict(num_heads=(0, 6, 12, 24)), r'num_heads=\(0, 6, 12, 24\) need to be 1 or more'),
    (dict(pretrained_window_sizes=(8, 8, 8, 8)), 'of version 2; tables of version 1'),
  ],
)
def test_bad_words_are_answered(options, message):
  with pytest.raises(UserError, match=message):
    swin.make(**options)
