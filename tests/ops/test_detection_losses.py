"""The losses of detectors against torchvision's and torch's, with their gradients, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import torchvision_shim  # noqa: F401
from torchvision import ops as reference

from vitlab.ops import losses

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (6, 5))
LOGITS[0] = [0, 40, -40, 90, -90]


def compare(ours, theirs, values, targets):
  slope = RNG.normal(size=values.shape)
  result, pull = jax.vjp(lambda z: ours(z, jnp.asarray(targets)), jnp.asarray(values))
  values = torch.tensor(values, requires_grad=True)
  expected = theirs(values, torch.tensor(targets))
  (gradient,) = torch.autograd.grad((expected * torch.tensor(slope)).sum(), values)
  np.testing.assert_allclose(result, expected.detach(), atol=1e-12)
  np.testing.assert_allclose(pull(jnp.asarray(slope))[0], gradient, atol=1e-12)


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('alpha, gamma', [(0.25, 2.0), (0.6, 1.0), (0.5, 1.5)])
def test_focal(x64, alpha, gamma, soft):
  targets = RNG.random(LOGITS.shape) if soft else (RNG.random(LOGITS.shape) < 0.5) * 1.0

  def ours(z, y):
    return losses.sigmoid_focal_loss(z, y, alpha=alpha, gamma=gamma)

  compare(ours, lambda z, y: reference.sigmoid_focal_loss(z, y, alpha, gamma), LOGITS, targets)


@pytest.mark.parametrize('beta', [1 / 9, 1.0, 3.0])
def test_smooth_l1(x64, beta):

  def theirs(z, y):
    return torch.nn.functional.smooth_l1_loss(z, y, beta=beta, reduction='none')

  targets = LOGITS + RNG.normal(size=LOGITS.shape)
  targets[0, 0] = LOGITS[0, 0]
  compare(lambda z, y: losses.smooth_l1(z, y, beta), theirs, LOGITS, targets)


def test_half_precision_is_computed_in_float32():
  half = jnp.asarray(LOGITS, jnp.bfloat16)
  assert losses.sigmoid_focal_loss(half, half * 0).dtype == jnp.float32
  assert losses.smooth_l1(half, half * 0).dtype == jnp.float32
