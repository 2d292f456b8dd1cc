"""vitlab's DETR computes and learns what theirs does, of padded pictures; traps would be seen."""

from functools import partial

import _helpers.detrs as detrs  # before what needs torchvision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity
from transformers import DetrImageProcessor
from transformers.models.detr.modeling_detr import DetrObjectDetectionOutput

from vitlab import registry
from vitlab.layers import attention
from vitlab.layers.blocks import Block
from vitlab.layers.object_queries import ObjectQueries
from vitlab.models import detr
from vitlab.ops.boxes import Objects
from vitlab.ops.positions import sincos_1d
from vitlab.pretrained import export_tensors, import_tensors
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


def test_there_and_back_every_bit_is_the_same(x64):
  theirs, model = detrs.oracle(), ours()
  variables = load(model, theirs.tensors)
  for format, tensors in dict(
    huggingface=theirs.tensors, meta=detrs.to_meta(theirs.tensors)
  ).items():
    written = export_tensors(variables, 'detr', format, dict(name='detr'))
    tensors = {name: x for name, x in tensors.items() if 'num_batches' not in name}
    assert written.keys() == tensors.keys() and parity.error(written, tensors) == 0
