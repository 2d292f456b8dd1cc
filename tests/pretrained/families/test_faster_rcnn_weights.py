"""vitlab's Faster R-CNN finds and learns what torchvision's does; every trap would be seen."""

import json
import re
from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import faster_rcnns, parity
from safetensors.torch import load_file, save_file

from vitlab import pretrained, registry
from vitlab.layers import fpn, rpn
from vitlab.models import faster_rcnn
from vitlab.ops import anchors, answers, proposals, roi_align
from vitlab.ops.boxes import Objects
from vitlab.pretrained import find_format
from vitlab.pretrained.files import Files

VERSIONS = [('v1', True), ('v2', False)]  # norms of the backbone: frozen or not


def array(tensor):
  return tensor.detach().numpy()


@cache
def oracle(variant='v1', frozen=True):
  """Their proposals and detections."""
  found, answers, _ = faster_rcnns.run(faster_rcnns.drawn(variant, frozen))
  return [array(boxes) for boxes in found], [
    {name: array(tensor) for name, tensor in answer.items()} for answer in answers
  ]


def find(model, variables):
  """Our proposals and detections."""

  @jax.jit
  def run(variables):
    image, size = faster_rcnns.inputs()
    out = model.apply(variables, image, size)
    return out['proposals'], model.detect(out, size)

  return run(variables)


def difference(ours, theirs) -> float:
  """The largest between proposals, boxes and scores; infinite if others were found."""
  (found, answer), (their_found, their_answers) = ours, theirs
  errors = []
  for i, (boxes, wanted) in enumerate(zip(their_found, their_answers)):
    some, count = len(boxes), len(wanted['boxes'])
    same = int(found.valid[i].sum()) == some and int((answer.classes[i] >= 0).sum()) == count
    if not same or (answer.classes[i, :count] != wanted['labels'] - 1).any():
      return np.inf
    errors += [
      parity.error(found.boxes[i, :some], boxes),
      parity.error(answer.boxes[i, :count], wanted['boxes']),
      parity.error(answer.scores[i, :count], wanted['scores']),
    ]
  return max(errors)


@pytest.mark.parametrize(('variant', 'frozen'), VERSIONS)
def test_finds_what_torchvision_finds(variant, frozen, x64):
  """With its own proposals, in a batch of two pictures with padding."""
  model = faster_rcnns.ours(variant, frozen)
  variables = faster_rcnns.load(faster_rcnns.drawn(variant, frozen).state_dict(), model)
  expected = oracle(variant, frozen)
  assert difference(find(model, variables), expected) < 1e-10
  labels = {label for answer in expected[1] for label in answer['labels'].tolist()}
  assert labels == {1, 2, 3} and all(len(boxes) == 40 for boxes in expected[0])


class Chosen:
  """In place of their sampler: what ours has drawn."""

  def __init__(self, drawn, proposals=None):
    self.drawn, self.proposals = drawn, proposals

  def __call__(self, labels):
    masks = []
    for i, label in enumerate(labels):
      index = np.array(self.drawn.index[i][self.drawn.valid[i]])
      if self.proposals:  # ours are padded before objects follow
        objects = len(faster_rcnns.targets()[i]['labels'])
        behind = index - self.proposals + len(label) - objects
        index = np.where(index < self.proposals, index, behind)
      found = np.array(self.drawn.found[i][self.drawn.valid[i]])
      assert (label[index] >= 1).numpy().tolist() == found.tolist()
      assert (label[index] >= 0).all()
      pair = torch.zeros(2, len(label), dtype=torch.uint8)
      pair[0, index[found]], pair[1, index[~found]] = 1, 1
      masks.append(pair)
    return [pair[0] for pair in masks], [pair[1] for pair in masks]


LOSSES = dict(
  objectness='loss_objectness',
  anchor_box='loss_rpn_box_reg',
  box='loss_box_reg',
  **{'class': 'loss_classifier'},
)


def means(terms):
  return {name: term.weight * term.sum / jnp.maximum(term.count, 1) for name, term in terms.items()}


@pytest.mark.parametrize(('variant', 'frozen'), VERSIONS)
def test_learns_what_torchvision_learns(variant, frozen, x64):
  """All four losses and every gradient, from what ours has drawn."""
  theirs = faster_rcnns.drawn(variant, frozen)
  before = {name: tensor.detach().clone() for name, tensor in theirs.state_dict().items()}
  model = faster_rcnns.ours(variant, frozen)
  variables = faster_rcnns.load(before, model)

  @jax.jit
  def learn(params):
    (image, size), objects = faster_rcnns.inputs(), faster_rcnns.objects()

    def loss(params):
      options = dict(rngs=dict(dropout=jax.random.key(3)), mutable='batch_stats')
      out, _ = model.apply({**variables, 'params': params}, image, size, True, objects, **options)
      losses = means(model.losses(out, objects, size, jnp.ones(2, bool)))
      return sum(losses.values()), (losses, out['anchor_sample'], out['region_sample'])

    return jax.grad(loss, has_aux=True)(params)

  grads, (losses, drawn, regions) = learn(variables['params'])
  assert drawn.found.any(1).all() and regions.found.any(1).all() and regions.valid.all()
  theirs.rpn.fg_bg_sampler = Chosen(drawn)
  theirs.roi_heads.fg_bg_sampler = Chosen(regions, faster_rcnns.NUMBERS['proposals'][0])
  theirs.zero_grad()
  _, _, expected = faster_rcnns.run(theirs, train=True)
  assert (
    parity.error(losses, {ours: array(expected[name]) for ours, name in LOSSES.items()}) < 1e-10
  )
  sum(expected.values()).backward()
  wanted = {name: parameter.grad for name, parameter in theirs.named_parameters()}
  theirs.load_state_dict(before)
  wanted = faster_rcnns.load(wanted, model, 'params')['params']
  assert all(abs(leaf).max() > 1e-12 for leaf in jax.tree.leaves(wanted))
  assert parity.error(grads, wanted) < 1e-9


@cache
def variables():
  """Ours of version 1."""
  return faster_rcnns.load(faster_rcnns.drawn().state_dict(), faster_rcnns.ours())


def mistaken(**options) -> float:
  """How far off a model is that is built now, on the maps of their backbone."""
  model = faster_rcnns.ours(backbone=faster_rcnns.Given(), **options)
  return difference(find(model, variables()), oracle())


def test_the_rest_is_right_on_their_maps(x64):
  assert mistaken() < 1e-10


def without_rounding(sizes, ratios):
  ratios = np.sqrt(np.repeat(ratios, len(sizes)))
  sides = np.stack([np.tile(sizes, len(ratios) // len(sizes)) / ratios, ratios * sizes[0]], 1)
  return np.concatenate([-sides, sides], 1) / 2


def centred(height, width, stride, cells, right=anchors.grid):
  return right(height, width, stride, cells) + jnp.asarray([*stride[::-1], *stride[::-1]]) / 2


def all_levels_together(*args, anchors, right=proposals.propose, **options):
  return right(*args, anchors=[jnp.concatenate(anchors)], **options)


def without_classes(boxes, scores, classes, *args, right=answers.batched_nms):
  return right(boxes, scores, 0 * classes, *args)


def bilinear(x, shape):
  return jax.image.resize(x, (len(x), *shape[1:3], x.shape[-1]), 'bilinear')


def regions(**wrong):
  return lambda *args, **options: roi_align.multilevel_roi_align(*args, **options, **wrong)


class Averaged(fpn.FPN):
  """Whose coarsest level is a mean instead of every second pixel."""

  @nn.compact
  def __call__(self, maps, train=False):
    *levels, last = super().__call__(maps, train)
    mean = levels[-1].reshape(len(last), 2, 2, -1, levels[-1].shape[-1])
    return [*levels, last + mean.mean((1, 2, 3))[:, None, None]]


TRAPS = {
  'anchors are rounded': (faster_rcnn, 'cell_anchors', without_rounding),
  'anchors are centred at the corner of a cell': (rpn, 'grid', centred),
  'the best are of each level, and meet there': (rpn, 'propose', all_levels_together),
  'proposals are cut at the picture, not at its padding': (proposals, 'clip', lambda x, size: x),
  'proposals of one place': (rpn, 'PROPOSAL_IOU', 0.9),
  'upsampling is nearest': (fpn, 'doubled', bilinear),
  'the coarsest level is a sample': (faster_rcnn, 'FPN', Averaged),
  'RoIAlign is not aligned': (faster_rcnn, 'multilevel_roi_align', regions(aligned=True)),
  'two samples a bin': (faster_rcnn, 'multilevel_roi_align', regions(sampling_ratio=1)),
  'a level for each size': (roi_align, 'CANONICAL_SIDE', 32),
  'deltas of regions have weights': (faster_rcnn, 'WEIGHTS', (1.0, 1.0, 1.0, 1.0)),
  'answers are cut at the picture': (faster_rcnn, 'clip', lambda x, size: x),
  'answers of one class': (answers, 'batched_nms', without_classes),
}


@pytest.mark.parametrize(('module', 'name', 'wrong'), TRAPS.values(), ids=TRAPS.keys())
def test_a_trap_would_be_seen(module, name, wrong, monkeypatch, x64):
  monkeypatch.setattr(module, name, wrong)
  assert mistaken() > 1e-3


@pytest.mark.parametrize(
  'options',
  [
    dict(candidates=(30, 30)),  # those of training
    dict(proposals=(60, 60)),
    dict(score_threshold=0.5),
    dict(iou_threshold=0.6),
    dict(max_detections=29),
  ],
)
def test_another_number_would_be_seen(options, x64):
  assert mistaken(**options) > 1e-3


def test_background_at_the_other_end_would_be_seen(x64):
  """As in DETR, where what is no object comes last."""
  turned = jax.tree.map(
    lambda leaf: jnp.roll(leaf, -1, axis=-1), variables()['params']['class_head']
  )
  model = faster_rcnns.ours(backbone=faster_rcnns.Given())
  others = variables()['params'] | dict(class_head=turned)
  assert difference(find(model, variables() | dict(params=others)), oracle()) > 1e-3


@cache
def learned():
  """What ours gives in training, on their maps, and its losses."""
  model = faster_rcnns.ours(backbone=faster_rcnns.Given())

  @jax.jit
  def run():
    image, size = faster_rcnns.inputs()
    rngs = dict(dropout=jax.random.key(3))
    out = model.apply(variables(), image, size, True, faster_rcnns.objects(), rngs=rngs)
    return out, losses_of(model, out)

  return model, *run()


def losses_of(model, out, mask=(True, True)):
  objects = Objects(*map(jnp.asarray, faster_rcnns.objects()))
  return means(model.losses(out, objects, faster_rcnns.inputs()[1], jnp.asarray(mask)))


LEARNING = {
  'smooth L1 bends at a ninth': ('BETA', 1.0),
  'boxes are divided by all that is drawn': (
    'mean',
    lambda values, drawn, mask, right=proposals.mean: right(
      values, drawn._replace(valid=drawn.valid & drawn.found), mask
    ),
  ),
  'deltas have the weights of their kind': (
    'encode_deltas',
    lambda boxes, origin, weights, right=proposals.encode_deltas: right(boxes, origin),
  ),
}


@pytest.mark.parametrize(('name', 'wrong'), LEARNING.values(), ids=LEARNING.keys())
def test_a_trap_of_the_losses_would_be_seen(name, wrong, monkeypatch, x64):
  model, out, right = learned()
  monkeypatch.setattr(proposals, name, wrong)
  assert abs(losses_of(model, out)['box'] - right['box']) > 1e-3


def test_a_picture_that_does_not_count_weighs_nothing(x64):
  model, out, _ = learned()
  one = losses_of(model, out, (True, False))
  wrong = jax.tree.map(
    lambda x: x.at[1].set(np.nan) if x.dtype == jnp.float64 and len(x) == 2 else x, out
  )
  assert parity.error(losses_of(model, wrong, (True, False)), one) == 0


def test_old_names_are_those_of_weights_without_epsilon():
  new = {name: array(tensor) for name, tensor in faster_rcnns.drawn().state_dict().items()}
  old = {
    re.sub(r'(_blocks\.\d)\.0|(head\.conv)\.0\.0', r'\1\2', name): tensor
    for name, tensor in new.items()
  }
  table = find_format('faster_rcnn', 'torchvision')
  said = dict(faster_rcnn=dict(anchor_sizes=faster_rcnns.ANCHORS))
  read = table.prepare(Files(old, said, {}, {}))
  assert read.tensors.keys() == new.keys() != old.keys()
  shapes = {name: tensor.shape for name, tensor in new.items()}
  for config, epsilon in ((said, 1e-5), (read.config, 0.0)):
    backbone = table.spec(config, shapes)['backbone']
    assert (backbone['norm'], backbone['norm_epsilon']) == ('frozen_batchnorm', epsilon)


@pytest.mark.parametrize(('variant', 'frozen'), VERSIONS)
def test_there_and_back(variant, frozen, tmp_path):
  """torchvision loads what we write, and finds the same; read again, every bit is there."""
  theirs = faster_rcnns.new(variant, frozen)
  theirs.load_state_dict(faster_rcnns.drawn(variant, frozen).float().state_dict())
  tensors = {name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}
  (tmp_path / 'theirs').mkdir()
  save_file(tensors, tmp_path / 'theirs' / 'model.safetensors')
  config = dict(faster_rcnn=dict(anchor_sizes=faster_rcnns.ANCHORS), label_names=['a', 'b', 'c'])
  (tmp_path / 'theirs' / 'config.json').write_text(json.dumps(config))
  weights = pretrained.read(str(tmp_path / 'theirs'))
  assert weights.about.spec['variant'] == variant and weights.about.class_names == ('a', 'b', 'c')
  model = registry.make('models', weights.about.spec)
  image, size = (jax.ShapeDtypeStruct(x.shape, x.dtype) for x in faster_rcnns.inputs())
  variables = weights.load(jax.eval_shape(model.init, jax.random.key(0), image, size))
  pretrained.write(tmp_path / 'ours', variables, weights.about, 'torchvision')
  again = load_file(tmp_path / 'ours' / 'model.safetensors')
  theirs.load_state_dict(again)
  counters = {name for name in tensors if name.endswith('num_batches_tracked')}
  assert again.keys() == tensors.keys() - counters
  assert all(torch.equal(again[name], tensors[name]) for name in again)
  read = pretrained.read(str(tmp_path / 'ours')).about
  assert read.class_names == weights.about.class_names
  assert registry.describe('models', read.spec) == registry.describe('models', weights.about.spec)
