"""What a frozen model is shown, and what is read from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import tiny
from flax import linen as nn

from vitlab.errors import UserError
from vitlab.tasks._encoder import Encoder

IMAGE = jax.random.uniform(jax.random.key(0), (2, 6, 6, 1))


class Bare(nn.Module):
  """A model that gives nothing but logits."""

  @nn.compact
  def __call__(self, image, train=False):
    return image.mean(axis=(1, 2)), {}


def test_pictures_are_prepared_as_its_own_were_and_by_default_stay_as_they_are():
  prepared = Encoder(tiny.ConvNet(), (0.2, 0.3, 0.4), (0.5,), (8, 12), 3).prepared(IMAGE)
  assert prepared.shape == (2, 8, 12, 3)
  np.testing.assert_allclose(prepared[..., 0] - prepared[..., 2], 0.4, atol=1e-6)
  plain = Encoder(tiny.ConvNet(), (0.0,), (1.0,), None, None).prepared(IMAGE)
  np.testing.assert_allclose(plain, IMAGE, atol=0.5 / 255 + 1e-6)


def test_features_and_logits_are_float32_and_a_model_without_features_is_named():
  encoder = Encoder(tiny.ConvNet(), (0.5,), (0.5,), None, None)
  variables = encoder.module.init(jax.random.key(1), IMAGE)
  assert encoder.features(variables, IMAGE).shape == (2, 4)
  assert encoder.logits(variables, IMAGE).dtype == jnp.float32
  with pytest.raises(UserError, match='the encoder Bare gives no features'):
    Encoder(Bare(), (0.5,), (0.5,), None, None).features({}, IMAGE)
