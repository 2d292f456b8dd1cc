"""Faster R-CNN: published sizes, fixed numbers, one result whatever the padding."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab import registry
from vitlab.errors import UserError
from vitlab.ops.boxes import Objects

TINY = dict(
  name='faster_rcnn',
  num_classes=3,
  backbone=dict(name='resnet', variant='mu', depths=(1, 1), width=8, norm='batchnorm'),
  channels=8,
  hidden=16,
  anchor_sizes=((8,), (16,), (32,)),
  candidates=(20, 12),
  proposals=(16, 10),
  samples=(12, 8),
  region_size=3,
  max_detections=6,
)
IMAGE = jax.random.normal(jax.random.key(0), (2, 64, 32, 1))
SIZE = jnp.asarray([[64, 32], [40, 30]], jnp.int32)
OBJECTS = Objects(
  jnp.asarray([[[4, 4, 20, 30], [10, 30, 28, 60]], [[3, 3, 12, 12], [0, 0, 0, 0]]], jnp.float32),
  jnp.asarray([[2, 0], [1, -1]], jnp.int32),
)


def make(**options):
  return registry.make('models', TINY | options)


@cache
def variables(**options):
  return jax.jit(partial(make(**options).init, train=False))(jax.random.key(1), IMAGE, SIZE)


@cache
def learn(**options):
  """Terms, what `losses` read, and the gradients of all terms together."""
  model, known = make(**options), variables(**options)

  @jax.jit
  def run(params):
    def loss(params):
      rngs = dict(dropout=jax.random.key(2))
      out, _ = model.apply(
        {**known, 'params': params}, IMAGE, SIZE, True, OBJECTS, rngs=rngs, mutable='batch_stats'
      )
      terms = model.losses(out, OBJECTS, SIZE, jnp.ones(2, bool))
      return sum(term.sum for term in terms.values()), (terms, out)

    return jax.grad(loss, has_aux=True)(params)

  # A last norm that starts at zero would let nothing through.
  norms = lambda path, leaf: leaf + 0.5 * (path[-1].key == 'scale')  # noqa: E731
  grads, (terms, out) = run(jax.tree_util.tree_map_with_path(norms, known['params']))
  return terms, out, grads


def at_full_size(norm, variant):
  backbone = dict(name='resnet', variant='50', norm=norm)
  spec = dict(name='faster_rcnn', num_classes=90, variant=variant, backbone=backbone)
  model, image = registry.make('models', spec), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  size = jax.ShapeDtypeStruct((1, 2), jnp.int32)
  return jax.eval_shape(model.init, jax.random.key(0), image, size)['params']


@pytest.mark.parametrize(
  ('norm', 'variant', 'parameters'),
  [
    ('frozen_batchnorm', 'v1', 41_755_286),
    ('batchnorm', 'v1', 41_808_406),
    ('batchnorm', 'v2', 43_712_278),
  ],
)
def test_parameters_at_full_size(norm, variant, parameters):
  params = at_full_size(norm, variant)
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == parameters


def test_parameter_names_are_the_interface():
  names = {'backbone', 'fpn', 'rpn', 'box_head', 'region_class_head', 'region_delta_head'}
  params = variables()['params']
  assert set(params) == names
  assert params['region_class_head']['kernel'].shape == (16, 4)  # with background
  assert params['region_delta_head']['kernel'].shape == (16, 16)


def test_numbers_do_not_depend_on_the_picture():
  model = make()
  out = jax.jit(model.apply)(variables(), IMAGE, SIZE)
  assert [level.shape[1:3] for level in out['levels']] == [(16, 8), (8, 4), (4, 2)]
  assert out['class_logits'].shape == (2, 10, 4) and out['deltas'].shape == (2, 10, 4, 4)
  for suppress in (True, False):
    answers = model.detect(out, SIZE, suppress)
    assert answers.boxes.shape == (2, 6, 4) and (jnp.diff(answers.scores) <= 0).all()
    assert ((answers.classes >= -1) & (answers.classes < 3)).all()
  _, trained, _ = learn()
  assert trained['class_logits'].shape == (2, 8, 4)


def test_padding_to_whole_cells_is_that_of_the_picture():
  model = make()
  image = IMAGE[:, :45, :30]
  size = jnp.asarray([[45, 30], [40, 30]], jnp.int32)
  padded = jnp.pad(image, ((0, 0), (0, 19), (0, 2), (0, 0)))
  a, b = (jax.jit(model.apply)(variables(), x, size) for x in (image, padded))
  assert a['levels'][0].shape == b['levels'][0].shape == (2, 16, 8, 8)
  np.testing.assert_allclose(a['deltas'], b['deltas'], atol=1e-6)


@pytest.mark.parametrize('variant', ['v1', 'v2'])
def test_every_parameter_gets_a_gradient(variant):
  terms, _, grads = learn(variant=variant)
  assert set(terms) == {'objectness', 'anchor_box', 'class', 'box'}
  assert [float(terms[name].count) for name in ('objectness', 'class')] == [24, 16]
  for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
    assert abs(leaf).max() > 0, path


def test_boxes_scores_and_losses_are_float32_whatever_is_computed_in():
  words = dict(dtype='bfloat16', backbone=TINY['backbone'] | dict(dtype='bfloat16'))
  model = make(**words)

  def run(known):
    rngs = dict(dropout=jax.random.key(2))
    out, _ = model.apply(known, IMAGE, SIZE, True, OBJECTS, rngs=rngs, mutable='batch_stats')
    answers = model.detect(model.apply(known, IMAGE, SIZE), SIZE)
    return out['levels'][0], answers, model.losses(out, OBJECTS, SIZE, jnp.ones(2, bool))

  known = jax.eval_shape(variables)
  level, answers, terms = jax.eval_shape(run, known)
  assert level.dtype == jnp.bfloat16
  assert answers.boxes.dtype == answers.scores.dtype == jnp.float32
  assert {term.sum.dtype for term in terms.values()} == {jnp.dtype('float32')}


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (dict(variant='v3'), "unknown Faster R-CNN variant 'v3'"),
    (dict(anchor_sizes=((8,), (16, 20), (32,))), 'as many for every level'),
    (dict(anchor_sizes=((8,), (-16,), (32,))), 'to be positive'),
    (dict(anchor_ratios=(0.0, 1.0)), 'to be positive'),
    (dict(candidates=(20,)), r'candidates=\(20,\) is to be two numbers of 1 or more'),
    (dict(proposals=(0, 10)), r'proposals=\(0, 10\)'),
    (dict(samples=(12, 0)), r'samples=\(12, 0\)'),
    (dict(num_classes=0), 'num_classes=0 needs to be 1 or more'),
    (dict(nms_iou=5.5), 'nms_iou=5.5 needs to be from 0 to 1'),
    (dict(score_threshold=-0.1), 'score_threshold=-0.1'),
    (dict(max_detections=0), 'max_detections=0'),
  ],
)
def test_what_is_refused(words, message):
  with pytest.raises(UserError, match=message):
    make(**words)
