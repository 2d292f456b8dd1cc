"""Faster R-CNN finds and learns what torchvision's does, and takes its weights there and back."""

import copy
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import faster_rcnns, parity
from safetensors.torch import load_file, save_file

from vitlab import pretrained, registry
from vitlab.pretrained import find_format
from vitlab.pretrained.files import Files

VERSIONS = [('v1', True), ('v2', False)]  # norms of the backbone: frozen or not


@pytest.mark.parametrize(('variant', 'frozen'), VERSIONS)
def test_finds_what_torchvision_finds(variant, frozen, x64):
  """With its own proposals, in a batch of two pictures with padding."""
  model = faster_rcnns.ours(variant, frozen)
  variables = faster_rcnns.load(faster_rcnns.drawn(variant, frozen).state_dict(), model)
  expected = faster_rcnns.oracle(variant, frozen)
  assert faster_rcnns.difference(faster_rcnns.find(model, variables), expected) < 1e-10
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
      losses = faster_rcnns.means(model.losses(out, objects, size, jnp.ones(2, bool)))
      return sum(losses.values()), (losses, out['anchor_sample'], out['region_sample'])

    return jax.grad(loss, has_aux=True)(params)

  grads, (losses, drawn, regions) = learn(variables['params'])
  assert drawn.found.any(1).all() and regions.found.any(1).all() and regions.valid.all()
  theirs.rpn.fg_bg_sampler = Chosen(drawn)
  theirs.roi_heads.fg_bg_sampler = Chosen(regions, faster_rcnns.NUMBERS['proposals'][0])
  theirs.zero_grad()
  _, _, expected = faster_rcnns.run(theirs, train=True)
  assert (
    parity.error(
      losses, {ours: faster_rcnns.array(expected[name]) for ours, name in LOSSES.items()}
    )
    < 1e-10
  )
  sum(expected.values()).backward()
  wanted = {name: parameter.grad for name, parameter in theirs.named_parameters()}
  theirs.load_state_dict(before)
  wanted = faster_rcnns.load(wanted, model, 'params')['params']
  assert all(abs(leaf).max() > 1e-12 for leaf in jax.tree.leaves(wanted))
  assert parity.error(grads, wanted) < 1e-9


def test_old_names_are_those_of_weights_without_epsilon():
  new = {
    name: faster_rcnns.array(tensor) for name, tensor in faster_rcnns.drawn().state_dict().items()
  }
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
  theirs.load_state_dict(copy.deepcopy(faster_rcnns.drawn(variant, frozen)).float().state_dict())
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
