"""The smallest two players that have what a GAN may meet: statistics, spectral vectors, classes."""

import jax
import jax.numpy as jnp
from flax import linen as nn


def _unit(x):
  return x / jnp.linalg.norm(x)


class Spectral(nn.Module):
  """A dense layer, its kernel over its norm by the collection 'spectral'; moves it in training."""

  features: int

  @nn.compact
  def __call__(self, x, train):
    shape = (x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.normal(1.0), shape)
    start = lambda: _unit(jnp.cos(jnp.arange(shape[1], dtype=x.dtype)))  # noqa: E731
    u = self.variable('spectral', 'u', start)
    v = _unit(kernel @ u.value)
    if train and not self.is_initializing():
      u.value = _unit(v @ kernel)
    u, v = jax.lax.stop_gradient((u.value, v))
    return x @ kernel / (v @ kernel @ u)


class Generator(nn.Module):
  """Two dense layers and a norm between; weights of attention that are there to be looked at."""

  num_classes: int
  shape: tuple[int, int, int]

  @nn.compact
  def __call__(self, noise, label=None, train=False):
    height, width, channels = self.shape
    x = Spectral(8, name='hidden')(noise, train)
    if self.num_classes:
      x = x + nn.Embed(self.num_classes, 8, name='class')(label)
    norm = nn.BatchNorm(use_running_average=not train, momentum=0.5, name='norm')
    x = nn.tanh(norm(x))
    x = nn.Dense(height * width * channels, name='image')(x).reshape(len(x), *self.shape)
    weights = nn.softmax(jnp.einsum('bhwc,byxc->bhy', x, x)[:, None])
    return jnp.tanh(x), {'attention': [weights]}


class Discriminator(nn.Module):
  """A perceptron and a projection of the class; no picture has a part in the score of another."""

  num_classes: int

  @nn.compact
  def __call__(self, image, label=None, train=False):
    x = jnp.tanh(Spectral(8, name='hidden')(image.reshape(len(image), -1), train))
    score = Spectral(1, name='score')(x, train)[:, 0]
    if self.num_classes:
      score = score + jnp.sum(x * nn.Embed(self.num_classes, 8, name='class')(label), axis=-1)
    return score, {'features': x}


class Players(nn.Module):
  """As the models of vitlab make them."""

  num_classes: int = 3
  shape: tuple[int, int, int] = (6, 6, 1)
  noise_width: int = 4

  def generator(self):
    return Generator(self.num_classes, self.shape, parent=None)

  def discriminator(self):
    return Discriminator(self.num_classes, parent=None)
