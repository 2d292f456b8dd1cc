"""SAGAN-32 written plainly in torch, with the names of mimicry's weights; the oracle of our own.

Structure: the authors' release (attention, shortcuts that carry x itself) in mimicry's sizes.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import spectral_norm


def conv(i, o, size, bias=True):
  return spectral_norm(nn.Conv2d(i, o, size, padding=size // 2, bias=bias))


class Attention(nn.Module):
  def __init__(self, c):
    super().__init__()
    self.theta, self.phi = conv(c, c // 8, 1, bias=False), conv(c, c // 8, 1, bias=False)
    self.g, self.o = conv(c, c // 2, 1, bias=False), conv(c // 2, c, 1, bias=False)
    self.gamma = nn.Parameter(torch.zeros(()))

  def forward(self, x):
    q, k, v = self.theta(x), F.max_pool2d(self.phi(x), 2), F.max_pool2d(self.g(x), 2)
    logits = torch.einsum('bkt,bks->bts', q.flatten(2), k.flatten(2))
    self.weights = logits.softmax(-1)
    mixed = torch.einsum('bts,bvs->bvt', self.weights, v.flatten(2))
    return x + self.gamma * self.o(mixed.unflatten(2, x.shape[2:]))


class BatchNorm(nn.Module):
  """Scale and bias of each class lie side by side in one embedding."""

  def __init__(self, c, classes):
    super().__init__()
    self.bn, self.embed = nn.BatchNorm2d(c, affine=False), nn.Embedding(classes, 2 * c)

  def forward(self, x, label):
    scale, bias = self.embed(label)[:, :, None, None].chunk(2, 1)
    return self.bn(x) * scale + bias


class Up(nn.Module):
  def __init__(self, i, o, classes):
    super().__init__()
    self.b1, self.b2 = BatchNorm(i, classes), BatchNorm(o, classes)
    self.c1, self.c2, self.c_sc = conv(i, o, 3), conv(o, o, 3), conv(i, o, 1)

  def forward(self, x, label):
    double = lambda x: F.interpolate(x, scale_factor=2, mode='bilinear')  # noqa: E731
    y = self.c1(double(self.b1(x, label).relu()))
    return self.c2(self.b2(y, label).relu()) + self.c_sc(double(x))


class First(nn.Module):
  def __init__(self, i, o):
    super().__init__()
    self.c1, self.c2, self.c_sc = conv(i, o, 3), conv(o, o, 3), conv(i, o, 1)

  def forward(self, x):
    return F.avg_pool2d(self.c2(self.c1(x).relu()), 2) + self.c_sc(F.avg_pool2d(x, 2))


class Down(nn.Module):
  def __init__(self, i, o, halves):
    super().__init__()
    self.c1, self.c2, self.halves = conv(i, i, 3), conv(i, o, 3), halves
    if halves or i != o:
      self.c_sc = conv(i, o, 1)

  def forward(self, x):
    y = self.c2(self.c1(x.relu()).relu())
    shortcut = self.c_sc(x) if hasattr(self, 'c_sc') else x
    return F.avg_pool2d(y, 2) + F.avg_pool2d(shortcut, 2) if self.halves else y + shortcut


class Generator(nn.Module):
  def __init__(self, classes, width, noise):
    super().__init__()
    self.l1 = spectral_norm(nn.Linear(noise, 16 * width))
    self.block2, self.block3, self.block4 = (Up(width, width, classes) for _ in range(3))
    self.attn_block = Attention(width)
    self.b5, self.c5 = nn.BatchNorm2d(width), conv(width, 3, 3)

  def forward(self, noise, label):
    x = self.l1(noise).unflatten(1, (-1, 4, 4))
    x = self.attn_block(self.block3(self.block2(x, label), label))
    return self.c5(self.b5(self.block4(x, label)).relu()).tanh()


class Discriminator(nn.Module):
  def __init__(self, classes, width):
    super().__init__()
    self.block1, self.block2 = First(3, width), Down(width, width, True)
    self.block3, self.block4 = Down(width, width, False), Down(width, width, False)
    self.attn_block = Attention(width)
    self.l5 = spectral_norm(nn.Linear(width, 1))
    self.l_y = spectral_norm(nn.Embedding(classes, width))

  def forward(self, image, label):
    x = self.attn_block(self.block2(self.block1(image)))
    features = self.block4(self.block3(x)).relu().sum((2, 3))
    return self.l5(features)[:, 0] + (self.l_y(label) * features).sum(1)
