"""vitlab's DETR computes and learns what theirs does, of padded pictures; traps would be seen."""

from functools import partial

import _helpers.detrs as detrs  # before what needs torchvision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity
from _helpers.hf_folders import changed
from transformers import DetrForObjectDetection, DetrImageProcessor
from transformers.models.detr.modeling_detr import DetrObjectDetectionOutput

from vitlab import pretrained, registry
from vitlab.errors import UserError
from vitlab.layers import attention
from vitlab.layers.blocks import Block
from vitlab.layers.object_queries import ObjectQueries
from vitlab.models import detr
from vitlab.ops.boxes import Objects
from vitlab.ops.positions import sincos_1d
from vitlab.pretrained import export_tensors, find_format, import_tensors
from vitlab.tasks.detection import total

BACKBONE = dict(name='resnet', dtype='float64', **detrs.BACKBONE)
COUNTS = [(8, 12), (5, 8)]  # rows and columns of the map that are no padding
WEIGHTS = dict(ce=1, bbox=5, giou=2)


def ours(**words):
  spec = dict(name='detr', dtype='float64', backbone=BACKBONE) | detrs.OURS | words
  return registry.make('models', spec)


def load(model, tensors, format='huggingface', collections=('params', 'frozen')):
  picture, size = jnp.asarray(detrs.IMAGE), jnp.asarray(detrs.SIZE)
  like = jax.eval_shape(model.init, jax.random.key(0), picture, size)
  like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), like)
  return import_tensors(tensors, {k: like[k] for k in collections}, 'detr', format)


def forward(model, variables):
  image, size = jnp.asarray(detrs.IMAGE), jnp.asarray(detrs.SIZE)
  return jax.jit(model.apply)(variables, image, size)


def terms_of(model, out):
  objects = Objects(*map(jnp.asarray, (detrs.BOXES, detrs.CLASSES)))
  return model.losses(out, objects, jnp.asarray(detrs.SIZE), jnp.ones(2, bool))


def gradients(model, variables):
  def loss(params, frozen, image):
    out = model.apply(dict(params=params, frozen=frozen), image, jnp.asarray(detrs.SIZE))
    return total(terms_of(model, out))

  parts = variables['params'], variables['frozen']
  return jax.jit(jax.grad(loss))(*parts, jnp.asarray(detrs.IMAGE))


def apart(out, theirs):
  """The largest difference behind any layer."""
  return max(parity.error(out[name], getattr(theirs, name)) for name in ('logits', 'boxes'))


def test_outputs_losses_and_gradients_are_hugging_face_s(x64):
  """Behind every layer, and of every parameter."""
  theirs, model = detrs.oracle(), ours()
  variables = load(model, theirs.tensors)
  out = forward(model, variables)
  assert apart(out, theirs) < 1e-12
  valid = np.array([[y < h and x < w for y in range(8) for x in range(12)] for h, w in COUNTS])
  assert parity.error(out['encoded'].reshape(2, -1, 16)[valid], theirs.encoded[valid]) < 1e-12
  for name in ('query_attention', 'cross_attention'):
    assert parity.error(out[name], theirs.attention[name]) < 1e-12
  for weights, expected in zip(out['attention'], theirs.attention['attention'], strict=True):
    weights, expected = (np.moveaxis(np.asarray(x), 1, 2)[valid] for x in (weights, expected))
    assert parity.error(weights, expected) < 1e-12
  terms = terms_of(model, out)
  assert terms.pop('rematched').weight == 0  # a number to look at, which they do not have
  means = {name: float(term.sum / term.count) for name, term in terms.items()}
  auxiliary = sum(
    weight * theirs.losses[f'loss_{name}_{i}'] for i in range(2) for name, weight in WEIGHTS.items()
  )
  expected = {'class': 'loss_ce', 'box': 'loss_bbox', 'giou': 'loss_giou'}
  expected = {name: theirs.losses[other] for name, other in expected.items()}
  assert parity.error(means, expected | dict(auxiliary=auxiliary)) < 1e-12
  assert abs(total(terms) - theirs.loss) < 1e-12
  expected = load(model, theirs.grads, collections=('params',))['params']
  assert parity.error(gradients(model, variables), expected) < 1e-11


def positions(counts, grid, width, dtype, *, offset=0.0, area=True, swapped=False, pairs=True):
  """Those of DETR with a mistake."""
  halves = []
  for axis in (0, 1):
    count = counts[:, axis, None] if area else jnp.full((len(counts), 1), grid[axis])
    angle = (jnp.arange(1, grid[axis] + 1) + offset) / (count + 1e-6) * 2 * jnp.pi
    half = sincos_1d(angle, width // 2, interleaved=pairs, dtype=dtype)
    half = jnp.expand_dims(half, 2 - axis)
    halves.append(jnp.broadcast_to(half, (len(counts), *grid, width // 2)))
  return jnp.concatenate(halves[::-1] if swapped else halves, axis=-1)


def without(name):
  """A block that does not get one of its inputs."""
  return lambda self, *args, **inputs: BLOCK(self, *args, **inputs | {name: None})


VALUES, QUERIES, BLOCK = attention._values_last, ObjectQueries.__call__, Block.__call__
FORWARD = {
  'positions from half a pixel on': (detr, 'sincos_of_area', partial(positions, offset=-0.5)),
  'positions of the padded map': (detr, 'sincos_of_area', partial(positions, area=False)),
  'x before y': (detr, 'sincos_of_area', partial(positions, swapped=True)),
  'sines, then cosines': (detr, 'sincos_of_area', partial(positions, pairs=False)),
  'positions in values': (attention, '_values_last', lambda dense, x, _: VALUES(dense, x, x)),
  'contents that are not zero': (
    *(ObjectQueries, '__call__'),
    lambda *args: (queries := QUERIES(*args))._replace(content=queries.position),
  ),
  **{
    f'no {name}': (Block, '__call__', without(name))
    for name in ('position', 'memory_position', 'memory_mask', 'mask')
  },
}


@pytest.mark.parametrize('trap', [None, *FORWARD])
def test_a_mistake_in_the_forward_pass_would_be_seen(trap, monkeypatch, x64):
  if trap:
    monkeypatch.setattr(*FORWARD[trap])
  theirs, model = detrs.oracle(), ours()
  difference = apart(forward(model, load(model, theirs.tensors)), theirs)
  assert difference > 1e-4 if trap else difference < 1e-12


def test_another_epsilon_of_frozen_norms_would_be_seen(x64):
  theirs, model = detrs.oracle(), ours(backbone=BACKBONE | dict(norm_epsilon=1e-3))
  assert apart(forward(model, load(model, theirs.tensors)), theirs) > 1e-4


def test_what_is_found_is_what_their_processor_gives(x64):
  theirs = detrs.oracle()
  out = DetrObjectDetectionOutput(
    logits=torch.tensor(theirs.logits[:, -1]), pred_boxes=torch.tensor(theirs.boxes[:, -1])
  )
  expected = DetrImageProcessor().post_process_object_detection(
    out, threshold=0.0, target_sizes=torch.tensor(detrs.SIZE)
  )
  ours_out = {name: jnp.asarray(getattr(theirs, name)) for name in ('logits', 'boxes')}
  found = ours().detect(ours_out, jnp.asarray(detrs.SIZE))
  for i, answer in enumerate(expected):
    order = np.argsort(-answer['scores'].numpy(), kind='stable')
    edge = np.tile(detrs.SIZE[i, ::-1], 2)
    assert parity.error(found.scores[i], answer['scores'].numpy()[order]) < 1e-12
    assert (np.asarray(found.classes[i]) == answer['labels'].numpy()[order]).all()
    boxes = np.clip(answer['boxes'].numpy()[order], 0, edge)
    assert parity.error(found.boxes[i], boxes) < 1e-9


def test_meta_s_names_and_those_in_the_memory_of_transformers_5_give_the_same(x64):
  theirs, model = detrs.oracle(), ours()
  expected = load(model, theirs.tensors)
  assert parity.error(load(model, detrs.to_meta(theirs.tensors), 'meta'), expected) == 0
  assert parity.error(load(model, detrs.to_version_5(theirs.tensors)), expected) == 0


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """As transformers saves it."""
  folder = tmp_path_factory.mktemp('detr')
  with jax.enable_x64(True):
    model = detrs.make()
  model.save_pretrained(folder)
  DetrImageProcessor(size=dict(shortest_edge=64, longest_edge=96)).save_pretrained(folder)
  return folder


def found(weights):
  """Our variables, and logits and boxes behind all layers."""
  spec = dict(weights.about.spec, dtype='float64')
  model = registry.make('models', spec | dict(backbone=spec['backbone'] | dict(dtype='float64')))
  picture, size = jnp.asarray(detrs.IMAGE), jnp.asarray(detrs.SIZE)
  like = jax.eval_shape(model.init, jax.random.key(0), picture, size)
  like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), like)
  variables = weights.load(like)
  return variables, forward(model, jax.tree.map(jnp.asarray, variables))


def test_a_folder_comes_and_goes(folder, tmp_path, x64):
  """Their model is known by its config, ours is loaded by theirs, and every bit is back."""
  weights = pretrained.read(str(folder))
  variables, out = found(weights)
  assert apart(out, detrs.oracle()) < 1e-12
  assert weights.about.preprocessing.image_size == (64, 96)
  pretrained.write(tmp_path, variables, weights.about, 'huggingface')
  theirs = DetrForObjectDetection.from_pretrained(tmp_path, dtype=torch.float64)
  tensors = detrs.oracle().tensors
  assert parity.error({name: x.numpy() for name, x in theirs.state_dict().items()}, tensors) == 0
  again = pretrained.read(str(tmp_path))
  assert again.about == weights.about


def test_queries_of_training_stay_at_home(folder, tmp_path, x64):
  """What asks in training alone has no place in their files, and answers do not need it."""
  weights = pretrained.read(str(folder))
  spec = weights.about.spec | dict(query_groups=2, denoising=1)
  model = registry.make('models', spec)
  like = jax.eval_shape(model.init, jax.random.key(0), detrs.IMAGE, detrs.SIZE)
  fresh = 'params/object_queries/(more|class_embed|box_embed)'
  loaded = weights.load(like, fresh=fresh)
  whole = jax.tree.map(lambda leaf: np.zeros(leaf.shape), like)
  whole['params']['object_queries'] |= loaded['params']['object_queries']
  rest = {k: x for k, x in loaded['params'].items() if k != 'object_queries'}
  tree = dict(params=whole['params'] | rest, frozen=loaded['frozen'])
  pretrained.write(tmp_path, tree, weights.about._replace(spec=spec), 'huggingface')
  assert pretrained.read(str(tmp_path)).tensors.keys() == weights.tensors.keys()


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (dict(auxiliary_loss=True), 'auxiliary_loss=True'),
    (dict(position_embedding_type='learned'), "position_embedding_type='learned'"),
    (dict(activation_function='gelu'), "activation_function='gelu'"),
    (dict(decoder_attention_heads=4), 'whose encoder and decoder differ'),
    (dict(encoder_attention_heads=3, decoder_attention_heads=3), 'the width 16 does not divide'),
    (dict(two_stage=True), 'two_stage=True'),
  ],
)
def test_other_models_are_refused(words, message, folder, tmp_path):
  with pytest.raises(UserError, match=message):
    pretrained.read(str(changed(folder, tmp_path, **words)))


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (dict(focus=True), 'focus'),
    (dict(backbone=dict(name='cnn')), 'backbone'),
    (dict(backbone=BACKBONE | dict(dilated_stages=1)), 'dilated_stages'),
    (dict(norm_epsilon=1e-6), 'norm_epsilon'),
  ],
)
def test_models_that_they_do_not_have_are_refused(words, message):
  spec = dict(name='detr', backbone=BACKBONE) | detrs.OURS | words
  with pytest.raises(UserError, match=rf'it cannot say this {message}'):
    find_format('detr', 'huggingface').config(spec, (64, 64))


def test_the_published_models_are_known_by_their_shapes():
  """Meta's R50, by its tensors alone, and its DC5 where a file beside it says so."""
  spec = dict(name='detr', num_classes=91, backbone=dict(name='resnet', norm='frozen_batchnorm'))
  model = registry.make('models', spec)
  like = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 2), int)
  )
  table = find_format('detr', 'meta')
  zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), like)
  shapes = {k: x.shape for k, x in export_tensors(zeros, 'detr', 'meta', spec).items()}
  found = table.spec({}, shapes)
  assert (found['variant'], found['num_classes'], found['num_queries']) == ('base', 91, 100)
  assert found['backbone']['variant'] == '50' and found['backbone']['dilated_stages'] == 0
  assert table.spec(dict(dilation=True), shapes)['backbone']['dilated_stages'] == 1
  assert shapes['transformer.decoder.layers.5.multihead_attn.in_proj_weight'] == (768, 256)
