"""DETR: published sizes, its start, who sees whom in training, and what is answered."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab import registry
from vitlab.errors import UserError
from vitlab.ops.boxes import Objects
from vitlab.tasks.detection import total

RESNET = dict(name='resnet', norm='frozen_batchnorm')
CNN = dict(name='cnn', variant='mu', widths=(4, 8), depths=(1, 1))
TINY = dict(variant='mu', num_classes=5, num_queries=6, dropout_rate=0.0, backbone=CNN)
TAUGHT = dict(query_groups=2, denoising=2)
IMAGE, SIZE = jax.random.normal(jax.random.key(0), (2, 16, 24, 1)), jnp.array([[16, 24], [10, 17]])
OBJECTS = Objects(
  jnp.array([[[2.0, 2, 9, 12], [10, 1, 20, 8], [0, 0, 0, 0]], [[3, 3, 15, 9], *[[0.0] * 4] * 2]]),
  jnp.array([[0, 4, -1], [2, -1, -1]]),
)


def make(**words):
  return registry.make('models', dict(name='detr') | TINY | words)


def at_full_size(**words):
  """The shapes of a published DETR's variables, and of what it gives for a picture."""
  model = make(num_classes=91, num_queries=100, **dict(variant='base') | words)
  picture = jax.ShapeDtypeStruct((1, 256, 320, 3), jnp.float32)
  size = jax.ShapeDtypeStruct((1, 2), jnp.int32)
  variables = jax.eval_shape(model.init, jax.random.key(0), picture, size)
  return variables, jax.eval_shape(model.apply, variables, picture, size)


def count(tree) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  ('variant', 'dilated', 'parameters'),
  [('50', 0, 41_524_768), ('50', 1, 41_524_768), ('101', 0, 60_464_672)],
)
def test_parameters_of_published_sizes(variant, dilated, parameters):
  """Of Meta's code with 92 logits, without the frozen norms: 4 vectors of 26,560 in ResNet-50."""
  body = RESNET | dict(variant=variant, dilated_stages=dilated)
  variables, out = at_full_size(backbone=body)
  assert count(variables['params']) == parameters
  assert variant != '50' or count(variables['frozen']) == 106_240
  assert out['logits'].shape == (1, 6, 100, 92)
  assert out['encoded'].shape == ((1, 16, 20, 256) if dilated else (1, 8, 10, 256))


def test_it_starts_as_meta_s():
  """Xavier uniform of queries, keys and values as one matrix; queries by N(0, 1)."""
  params = jax.jit(make(width=64, mlp_dim=128).init)(jax.random.key(0), IMAGE, SIZE)['params']
  block = params['decoder']['block_0']
  deviations = {
    'attention/qkv': (2 / (64 + 3 * 64)) ** 0.5,
    'cross/q': (2 / (64 + 3 * 64)) ** 0.5,
    'cross/kv': (2 / (64 + 3 * 64)) ** 0.5,
    'cross/out': (2 / (64 + 64)) ** 0.5,
    'mlp/up': (2 / (64 + 128)) ** 0.5,
  }
  for path, expected in deviations.items():
    kernel = block
    for name in path.split('/'):
      kernel = kernel[name]
    assert abs(np.std(kernel['kernel']) / expected - 1) < 0.05, path
    assert not np.any(kernel['bias']) or path == 'mlp/up'
  assert abs(np.std(params['object_queries']['learned']) - 1) < 0.1


@cache
def state(**words):
  model = make(**words)
  variables = jax.jit(model.init)(jax.random.key(1), IMAGE, SIZE)
  return model, variables


def asked(objects=OBJECTS, train=True, change=lambda params: params, **words):
  """What all queries find behind all layers, [b, layers, q, ...]."""
  model, variables = state(**TAUGHT | words)
  variables = {**variables, 'params': change(variables['params'])}
  rngs, mutable = {'dropout': jax.random.key(2)}, 'batch_stats'
  apply = jax.jit(lambda v, o: model.apply(v, IMAGE, SIZE, train, o, rngs=rngs, mutable=mutable)[0])
  return apply(variables, objects)


@pytest.mark.parametrize('focus', [False, True])
def test_every_parameter_gets_a_gradient(focus):
  model, variables = state(**TAUGHT, focus=focus)

  @jax.jit
  def gradients(params):
    def loss(params):
      given = {**variables, 'params': params}
      rngs = {'dropout': jax.random.key(2)}
      out, _ = model.apply(given, IMAGE, SIZE, True, OBJECTS, rngs=rngs, mutable='batch_stats')
      terms = model.losses(out, OBJECTS, SIZE, jnp.ones(2, bool))
      assert set(terms) == {'class', 'box', 'giou', 'auxiliary', 'denoising', 'rematched'}
      return total(terms)

    return jax.grad(loss)(params)

  for path, leaf in jax.tree_util.tree_leaves_with_path(gradients(variables['params'])):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    # Of zeros in the first layer there are only biases; keys' biases move no softmax.
    blind = ('decoder/block_0/attention/qkv/kernel', 'qkv/bias', 'kv/bias')
    assert jnp.isfinite(leaf).all() and (name.endswith(blind) or (leaf != 0).any()), name


def test_who_is_told_is_seen_by_nobody_who_has_to_find():
  """Nor do groups of queries see each other: what one asks changes what it finds itself, alone."""
  told = asked()
  assert told['logits'].shape == (2, 2, 2 * 6 + 2 * 3, 6)
  other = asked(OBJECTS._replace(classes=OBJECTS.classes[:, ::-1], boxes=OBJECTS.boxes + 1))
  for name in ('logits', 'boxes'):
    np.testing.assert_allclose(told[name][:, :, :12], other[name][:, :, :12], atol=1e-6)
    assert (jnp.abs(told[name] - other[name])[0, :, 12:].max(-1) > 1e-4).all()

  def ask_otherwise(params):
    queries = params['object_queries']
    return params | dict(object_queries=queries | dict(more=queries['more'] + 1))

  moved = jnp.abs(asked(change=ask_otherwise)['logits'] - told['logits']).max((0, 1, 3)) > 1e-4
  assert moved[6:12].all() and not moved[:6].any() and not moved[12:].any()


def test_groups_of_what_is_told_and_empty_rows_do_not_see_each_other():
  told = asked()['query_attention'][0]
  seen = np.asarray(told[:, 0, 12:, 12:] > 0)
  here = np.array([True, True, False])
  group = np.where(here[:, None] & here | np.eye(3, dtype=bool), True, False)
  np.testing.assert_array_equal(seen[0], np.kron(np.eye(2, dtype=bool), group))
  assert (
    seen[1].sum() == 6 and not np.any(told[:, :, :12, 12:]) and not np.any(told[:, :, 12:, :12])
  )


def test_what_only_training_asks_is_gone_afterwards():
  plain, taught = state(), state(**TAUGHT)
  params = dict(taught[1]['params'])
  params['object_queries'] = {'learned': params['object_queries']['learned']}
  here = asked(train=False)
  assert here['logits'].shape == (2, 2, 6, 6)
  expected = jax.jit(plain[0].apply)({**taught[1], 'params': params}, IMAGE, SIZE)
  np.testing.assert_allclose(here['boxes'], expected['boxes'], atol=1e-6)


def test_answers_are_relative_to_anchors():
  """A head that says nothing answers with the anchor itself."""
  model, variables = state(focus=True)
  params = dict(variables['params'])
  params['box_head'] = jax.tree.map(jnp.zeros_like, params['box_head'])
  out = jax.jit(model.apply)({**variables, 'params': params}, IMAGE, SIZE)
  anchors = jax.nn.sigmoid(params['object_queries']['learned'])
  np.testing.assert_allclose(out['boxes'], jnp.broadcast_to(anchors, out['boxes'].shape), atol=1e-6)


def test_answers_are_sorted_in_the_picture_and_never_no_object():
  model, variables = state()
  out = jax.jit(model.apply)(variables, IMAGE, SIZE)
  out['logits'] = out['logits'].at[:, -1, 0, 5].add(20)  # surely nothing
  found = model.detect(out, SIZE)
  assert (jnp.diff(found.scores, axis=1) <= 0).all() and found.scores[0, -1] < 1e-3
  assert (found.classes >= 0).all() and (found.classes < 5).all()
  assert (found.boxes >= 0).all() and (found.boxes <= jnp.tile(SIZE[:, None, ::-1], 2)).all()
  matched = model.match(out, OBJECTS, SIZE)
  assert matched.shape == (2, 2, 3) and (matched[1, :, 1:] == -1).all()
  assert (matched[OBJECTS.classes[:, None].repeat(2, 1) >= 0] >= 0).all()


def test_sixteen_bits_end_before_the_heads():
  model, variables = state(dtype='bfloat16')
  out = jax.eval_shape(model.apply, variables, IMAGE, SIZE)
  assert out['encoded'].dtype == jnp.bfloat16
  assert out['logits'].dtype == out['boxes'].dtype == jnp.float32


@pytest.mark.parametrize(
  'backbone',
  [
    dict(name='resnet', variant='mu'),
    dict(name='swin', variant='mu', image_size=None),
    dict(name='vit', variant='mu/8'),
  ],
  ids=lambda spec: spec['name'],
)
def test_any_model_with_levels_is_a_backbone(backbone):
  backbone = {key: x for key, x in backbone.items() if x is not None}
  model = make(backbone=backbone)
  image = jnp.zeros((1, 64, 64, 3))
  out = jax.eval_shape(model.init_with_output, jax.random.key(0), image, jnp.array([[64, 64]]))[0]
  assert out['boxes'].shape == (1, 2, 6, 4)


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (dict(variant='huge'), "unknown DETR variant 'huge'"),
    (dict(width=18), 'width=18 needs to be a multiple of 4'),
    (dict(num_queries=0), 'num_queries=0 needs to be 1 or more'),
    (dict(no_object_weight=0.0), 'no_object_weight=0.0 needs to be above 0'),
    (dict(denoising=-1), 'denoising=-1 0 or more'),
  ],
)
def test_bad_words_are_answered(words, message):
  with pytest.raises(UserError, match=message):
    make(**words)
