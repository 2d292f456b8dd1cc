"""Losses of GANs against their formulas, and R1 against a gradient of every picture alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from vitlab.ops import adversarial

REAL, FAKE = jnp.array([[2.0, 0.3, -1.5, 0.0], [0.5, -0.2, -3.0, 4.0]])

# In torch, as the codes of SAGAN (mimicry), StyleGAN 2 and R3GAN have them.
THEIRS = {
  'hinge': (
    lambda real, fake: functional.relu(1 - real) + functional.relu(1 + fake),
    lambda real, fake: -fake,
  ),
  'non_saturating': (
    lambda real, fake: (
      functional.binary_cross_entropy_with_logits(real, torch.ones_like(real), reduction='none')
      + functional.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake), reduction='none')
    ),
    lambda real, fake: functional.binary_cross_entropy_with_logits(
      fake, torch.ones_like(fake), reduction='none'
    ),
  ),
  'relativistic': (
    lambda real, fake: functional.softplus(-(real - fake)),
    lambda real, fake: functional.softplus(-(fake - real)),
  ),
}


@pytest.mark.parametrize('name', adversarial.LOSSES)
@pytest.mark.parametrize('player', ['discriminator', 'generator'])
def test_losses_and_their_gradients(name, player):
  ours = getattr(adversarial.LOSSES[name], player)
  real, fake = (torch.tensor(np.asarray(x), requires_grad=True) for x in (REAL, FAKE))
  values = THEIRS[name][player == 'generator'](real, fake)
  np.testing.assert_allclose(ours(REAL, FAKE), values.detach(), rtol=1e-6, atol=1e-7)
  values.sum().backward()
  wanted = [np.zeros(4) if x.grad is None else x.grad.numpy() for x in (real, fake)]
  found = jax.grad(lambda r, f: ours(r, f).sum(), argnums=(0, 1))(REAL, FAKE)
  np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', adversarial.LOSSES)
def test_who_reads_the_scores_of_real_pictures(name):
  loss = adversarial.LOSSES[name]
  changed = np.any(loss.generator(REAL, FAKE) != loss.generator(REAL + 1, FAKE))
  assert changed == loss.pairs


def test_a_discriminator_that_is_sure_of_itself_still_teaches():
  """Where log(1 - σ(fake)) is flat the non-saturating loss has slope -1."""
  loss = adversarial.LOSSES['non_saturating'].generator
  slope = jax.grad(lambda fake: loss(jnp.zeros(1), fake).sum())(jnp.array([-30.0]))
  np.testing.assert_allclose(slope, -1.0, rtol=1e-6)


def test_squared_slopes_are_those_of_every_picture_alone():
  image = jax.random.normal(jax.random.key(0), (3, 2, 2, 1))
  weights = jax.random.normal(jax.random.key(1), (4,))

  def score(weights, image):
    x = image.reshape(len(image), -1)
    return jnp.sin(x @ weights) + jnp.sum(x**3, axis=-1), 'beside'

  def penalty(weights):
    return adversarial.squared_slope(lambda image: score(weights, image), image)

  scores, slopes, beside = penalty(weights)
  np.testing.assert_allclose(scores, score(weights, image)[0], rtol=1e-6)
  assert beside == 'beside'
  x = torch.tensor(np.asarray(image).reshape(3, -1), requires_grad=True)
  w = torch.tensor(np.asarray(weights), requires_grad=True)
  out = torch.sin(x @ w) + (x**3).sum(-1)
  (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
  wanted = slope.square().sum(-1)
  np.testing.assert_allclose(slopes, wanted.detach(), rtol=1e-5)
  wanted.mean().backward()
  found = jax.grad(lambda w: penalty(w)[1].mean())(weights)
  np.testing.assert_allclose(found, w.grad, rtol=1e-4)
