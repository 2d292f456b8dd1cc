"""The Vision Transformer as anybody writes it in Flax: one more subject of `models.py`.

Flax's own attention, Dense, LayerNorm and strided convolution, one `jax.jit` of a step: what the
other JAX code bases have. So the table tells what JAX gives anyway from what vitlab adds.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from subjects import batch

WIDTH_DEPTH_HEADS = {'Ti/16': (192, 12, 3), 'S/16': (384, 12, 6), 'B/16': (768, 12, 12)}
WIDTH_DEPTH_HEADS['L/16'] = (1024, 24, 16)


class Block(nn.Module):
  num_heads: int
  dtype: Any

  @nn.compact
  def __call__(self, x):
    y = nn.LayerNorm(1e-6, dtype=self.dtype, name='norm1')(x)
    x = x + nn.MultiHeadDotProductAttention(self.num_heads, dtype=self.dtype, name='attn')(y)
    y = nn.LayerNorm(1e-6, dtype=self.dtype, name='norm2')(x)
    y = nn.gelu(nn.Dense(4 * x.shape[-1], dtype=self.dtype, name='fc1')(y), approximate=False)
    return x + nn.Dense(x.shape[-1], dtype=self.dtype, name='fc2')(y)


class ViT(nn.Module):
  width: int
  depth: int
  num_heads: int
  dtype: Any

  @nn.compact
  def __call__(self, image):
    x = (image.astype(jnp.float32) / 127.5 - 1).astype(self.dtype)
    x = nn.Conv(self.width, (16, 16), (16, 16), dtype=self.dtype, name='patch_embed')(x)
    x = x.reshape(len(x), -1, self.width)
    token = self.param('cls_token', nn.initializers.zeros, (1, 1, self.width))
    x = jnp.concatenate([jnp.broadcast_to(token, (len(x), 1, self.width)), x], 1, self.dtype)
    shape = (1, x.shape[1], self.width)
    x += self.param('pos_embed', nn.initializers.normal(0.02), shape).astype(self.dtype)
    for i in range(self.depth):
      x = Block(self.num_heads, self.dtype, name=f'block_{i}')(x)
    x = nn.LayerNorm(1e-6, dtype=self.dtype, name='norm')(x)
    return nn.Dense(1000, name='head')(x[:, 0].astype(jnp.float32))


def flax_works(args):
  width, depth, num_heads = WIDTH_DEPTH_HEADS[args.variant]
  model = ViT(width, depth, num_heads, args.dtype)
  rows = jax.device_put({work: batch(args, work) for work in args.batches})
  variables = jax.jit(model.init)(jax.random.key(0), rows['train']['image'])
  optimizer = optax.adamw(1e-6, weight_decay=0.05)
  state = [variables, optimizer.init(variables)]
  predict = jax.jit(model.apply)

  def step(variables, opt_state, rows):
    def loss(variables):
      logits = model.apply(variables, rows['image'])
      return optax.softmax_cross_entropy_with_integer_labels(logits, rows['label']).mean()

    value, gradients = jax.value_and_grad(loss)(variables)
    updates, opt_state = optimizer.update(gradients, opt_state, variables)
    return value, optax.apply_updates(variables, updates), opt_state

  step = jax.jit(step, donate_argnums=(0, 1))

  def train():
    value, *state[:] = step(*state, rows['train'])
    value.block_until_ready()

  def forward():
    return predict(state[0], rows['forward']['image']).block_until_ready()

  def answers():
    from safetensors.numpy import load_file

    state[0] = {'params': _from_timm(load_file(f'{args.folder}/weights.safetensors'), num_heads)}
    return dict(logits=np.asarray(forward()))

  return dict(forward=forward, train=train), answers


def _from_timm(weights, num_heads):
  """timm's weights under Flax's names."""

  def dense(name):
    return dict(kernel=weights[f'{name}.weight'].T, bias=weights[f'{name}.bias'])

  def norm(name):
    return dict(scale=weights[f'{name}.weight'], bias=weights[f'{name}.bias'])

  def block(name):
    width = len(weights[f'{name}.norm1.bias'])
    heads = (num_heads, width // num_heads)
    kernels = np.split(weights[f'{name}.attn.qkv.weight'].T, 3, axis=1)
    biases = np.split(weights[f'{name}.attn.qkv.bias'], 3)
    attention = {
      key: dict(kernel=kernel.reshape(width, *heads), bias=bias.reshape(heads))
      for key, kernel, bias in zip(('query', 'key', 'value'), kernels, biases)
    }
    out = dense(f'{name}.attn.proj')
    attention['out'] = out | dict(kernel=out['kernel'].reshape(*heads, width))
    others = dict(norm1=norm(f'{name}.norm1'), norm2=norm(f'{name}.norm2'), attn=attention)
    return others | {layer: dense(f'{name}.mlp.{layer}') for layer in ('fc1', 'fc2')}

  patches = weights['patch_embed.proj.weight'].transpose(2, 3, 1, 0)
  depth = sum(name.endswith('.norm1.bias') for name in weights)
  params = {
    'patch_embed': dict(kernel=patches, bias=weights['patch_embed.proj.bias']),
    'cls_token': weights['cls_token'],
    'pos_embed': weights['pos_embed'],
    'norm': norm('norm'),
    'head': dense('head'),
  }
  params |= {f'block_{i}': block(f'blocks.{i}') for i in range(depth)}
  return jax.tree.map(jnp.asarray, params)
