"""The ResNet below a detector: frozen norms and dilated stages, as torchvision's."""

from functools import partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity, round_trips
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from vitlab.errors import UserError
from vitlab.models import resnet
from vitlab.pretrained import import_tensors

PICTURE = parity.image((2, 33, 40, 3))


@pytest.mark.parametrize('train', [False, True], ids=['evaluated', 'trained'])
def test_a_frozen_and_dilated_backbone_equals_torchvision_s(train, x64):
  """The backbone of DETR and its DC5: every level; a dilation a block too early would be seen."""
  torch.manual_seed(0)
  options = dict(replace_stride_with_dilation=[False, False, True], norm_layer=FrozenBatchNorm2d)
  theirs = parity.perturb(ResNet(Bottleneck, [1, 1, 1, 2], **options))
  for name, buffer in theirs.named_buffers():
    noise = np.random.default_rng(len(name)).uniform(0.5, 1, buffer.shape)
    buffer.copy_(torch.tensor(noise))
  levels = []
  for i in range(1, 5):
    getattr(theirs, f'layer{i}').register_forward_hook(
      lambda _, __, y: levels.append(y.detach().numpy())
    )
  theirs.train(train)(torch.tensor(PICTURE.transpose(0, 3, 1, 2)))
  options = dict(norm='frozen_batchnorm', dilated_stages=1, dtype='float64')
  model = resnet.make('50', depths=(1, 1, 1, 2), **options)
  like = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), round_trips.like(model, PICTURE)
  )
  assert set(like) == {'params', 'frozen'} and 'scale' not in str(like['params'])
  variables = import_tensors(theirs.state_dict(), like, 'resnet', 'timm', head='new')

  def error(model):
    out = jax.jit(partial(model.apply, train=train))(variables, jnp.asarray(PICTURE))[1]
    return parity.error([x.transpose(0, 3, 1, 2) for x in out['levels']], levels)

  assert error(model) < 1e-9
  *stages, last = model.stages
  early = last.clone(block=last.block.clone(dilation=(2, 2)))
  assert error(model.clone(stages=[*stages, early])) > 1e-3


def test_stages_that_cannot_dilate_are_refused():
  with pytest.raises(UserError, match='dilated_stages=4: of 4 stages all but the first may be'):
    resnet.make('50', dilated_stages=4)
