"""vitlab's Inception v3 computes what torchvision's does, and FID's what pytorch-fid's does."""

from functools import cache, partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity
from references import fid_inception
from torchvision.models import inception as theirs

from vitlab.errors import UserError
from vitlab.models import inception
from vitlab.pretrained import import_tensors

# The last map is 2 x 1: of one pixel the largest is the mean, of a square a row is like a column.
PICTURE = parity.image((1, 107, 75, 3))


@cache
def weights():
  """Of torchvision's own network, with the classifier in the middle: no norm is trivial."""
  with torch.device('meta'):
    model = theirs.inception_v3(num_classes=5, aux_logits=True, init_weights=False)
  generator = torch.Generator().manual_seed(0)
  draw = partial(torch.randn, generator=generator, dtype=torch.float64)
  tensors = {}
  for name, tensor in model.state_dict().items():
    x = draw(tensor.shape)
    if tensor.ndim > 1:
      x *= (1.4 if tensor.ndim == 4 else 1) / tensor[0].numel() ** 0.5
    elif name.endswith('running_var'):
      x = 0.5 + x.abs()
    elif name.endswith('num_batches_tracked'):
      x = torch.tensor(0)
    else:
      x = 0.3 * x + name.endswith('bn.weight')
    tensors[name] = x
  return tensors


@cache
def oracle(network, **pools):
  """Blocks, features and logits of a network of theirs with these weights."""
  with torch.device('meta'):
    model = network(num_classes=5, **pools).eval()
  model.load_state_dict({name: weights()[name] for name in model.state_dict()}, assign=True)
  blocks, features = [], []
  for name, module in model.named_children():
    if name.startswith('Mixed'):
      module.register_forward_hook(lambda _, __, y: blocks.append(y.numpy()))
  model.avgpool.register_forward_hook(lambda _, __, y: features.append(y.numpy()[..., 0, 0]))
  with torch.no_grad():
    logits = model(torch.tensor(PICTURE.transpose(0, 3, 1, 2))).numpy()
  return blocks, features[0], logits


NETWORKS = dict(v3=partial(theirs.inception_v3, init_weights=False), fid=fid_inception.network)


def ours(variant):
  model = inception.make(variant, 5, dtype='float64')
  like = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(PICTURE))
  like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), like)
  variables = import_tensors(weights(), like, 'inception', 'timm')
  logits, out = jax.jit(model.apply)(variables, jnp.asarray(PICTURE))
  return [b['features'].transpose(0, 3, 1, 2) for b in out['blocks']], out['features'], logits


def distance(got, expected):
  return max(
    abs(np.asarray(a) - np.asarray(b)).max() / abs(np.asarray(b)).max()
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
  )


@pytest.mark.parametrize('variant', NETWORKS)
def test_equals_theirs(variant, x64):
  """Every block, the features and the logits."""
  expected = oracle(NETWORKS[variant])
  assert len(expected[0]) == 11 and expected[1].shape == (1, 2048)
  assert distance(ours(variant), expected) < 1e-11


def test_every_difference_of_the_two_would_be_seen():
  """Padding in the averages from the first block on; in the last block alone the maximum."""
  plain, fid = oracle(NETWORKS['v3'])[0], oracle(NETWORKS['fid'])[0]
  assert distance(plain[:1], fid[:1]) > 1e-3
  half = oracle(NETWORKS['fid'], last='mean')[0]
  assert distance(half[:10], fid[:10]) == 0 and distance(half[10:], fid[10:]) > 1e-3


def counted(variables):
  return sum(leaf.size for leaf in jax.tree.leaves(variables['params']))


def test_sizes_of_fid_s_network():
  """As torch-fidelity's code notes them beside every layer; without classes features come out."""
  model, image = inception.make('fid'), jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
  (logits, out), variables = jax.eval_shape(model.init_with_output, jax.random.key(0), image)
  assert logits.shape == out['features'].shape == (2, 2048)
  assert out['stem'].shape == (2, 35, 35, 192)
  shapes = [block['features'].shape[1:] for block in out['blocks']]
  assert shapes[:4] == [(35, 35, 256), (35, 35, 288), (35, 35, 288), (17, 17, 768)]
  assert shapes[4:] == [(17, 17, 768)] * 4 + [(8, 8, 1280)] + [(8, 8, 2048)] * 2
  # With 2048 · 1008 + 1008 of the classifier, as pytorch-fid's.
  assert counted(variables) + 2_065_392 == 23_850_960


def test_parameters_of_torchvision_s_network():
  """27,161,264 is what torchvision says: with 3,326,696 of the classifier in the middle."""
  shapes = jax.eval_shape(
    inception.make('v3', 1000).init, jax.random.key(0), jnp.zeros((1, 75, 75, 3))
  )
  assert counted(shapes) == 27_161_264 - 3_326_696


def test_bad_words():
  with pytest.raises(UserError, match="unknown variant of Inception 'v4'"):
    inception.make('v4')
  with pytest.raises(UserError, match='75 x 75 pixels or more, not of 32 x 80'):
    jax.eval_shape(inception.make().init, jax.random.key(0), jnp.zeros((1, 32, 80, 3)))
