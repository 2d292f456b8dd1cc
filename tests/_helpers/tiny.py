"""The smallest models that have what a task may meet: dropout, statistics, attention."""

import jax.numpy as jnp
from flax import linen as nn


class Perceptron(nn.Module):
  """One hidden layer; `hidden` names its only intermediate."""

  num_classes: int = 3
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(self, image, train=False):
    x = image.reshape(image.shape[0], -1)
    x = nn.tanh(nn.Dense(8, name='hidden')(x))
    x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
    return nn.Dense(self.num_classes, name='head')(x), {'features': x}


class ConvNet(nn.Module):
  """One convolution with BatchNorm: a model with a mutable collection."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, image, train=False):
    x = nn.Conv(4, (3, 3), name='conv')(image)
    x = nn.tanh(nn.BatchNorm(use_running_average=not train, momentum=0.5, name='norm')(x))
    x = x.mean(axis=(1, 2))
    return nn.Dense(self.num_classes, name='head')(x), {'features': x}


class Attention(nn.Module):
  """Two layers of attention over the rows of the image."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, image, train=False):
    x = nn.Dense(6, name='embed')(image.reshape(*image.shape[:2], -1))
    weights = []
    for i in range(2):
      q, k, v = (nn.DenseGeneral((2, 3), name=f'{name}{i}')(x) for name in 'qkv')
      weights.append(nn.softmax(jnp.einsum('btnk,bsnk->bnts', q, k)))
      x = x + jnp.einsum('bnts,bsnk->btnk', weights[-1], v).reshape(x.shape)
    x = x.mean(axis=1)
    return nn.Dense(self.num_classes, name='head')(x), {'features': x, 'attention': weights}


class Distilled(nn.Module):
  """A perceptron with a second head for what a teacher says."""

  num_classes: int = 3

  @nn.compact
  def __call__(self, image, train=False):
    x = image.reshape(image.shape[0], -1)
    x = nn.tanh(nn.Dense(8, name='hidden')(x))
    logits = nn.Dense(self.num_classes, name='head')(x)
    out = {'features': x, 'distillation_logits': nn.Dense(self.num_classes, name='head_dist')(x)}
    return logits if train else (logits + out['distillation_logits']) / 2, out
