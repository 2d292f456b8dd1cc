"""Parameters of torch's Transformer and of HF's Marian, or their gradients, in vitlab's tree."""

import numpy as np
import torch

Tensors = dict[str, np.ndarray]


class WithEmbeddings(torch.nn.Module):
  """`torch.nn.Transformer` between one tied embedding and the positions that it is given."""

  def __init__(self, vocab: int, position: np.ndarray, **options):
    super().__init__()
    self.embed = torch.nn.Embedding(vocab, position.shape[1])
    self.inner = torch.nn.Transformer(position.shape[1], batch_first=True, dropout=0.0, **options)
    self.position = torch.tensor(position)

  def forward(self, tokens, inputs):
    x, y = (
      self.embed(t) * self.position.shape[1] ** 0.5 + self.position[: t.shape[1]]
      for t in (tokens, inputs)
    )
    future = torch.ones(y.shape[1], y.shape[1], dtype=torch.bool).triu(1)
    padding = dict(src_key_padding_mask=tokens == 0, memory_key_padding_mask=tokens == 0)
    return self.inner(x, y, tgt_mask=future, **padding) @ self.embed.weight.T


def tensors(module: torch.nn.Module, gradients: bool = False) -> Tensors:
  """By name; a table of positions has no gradient."""
  found = {name: p.grad if gradients else p for name, p in module.named_parameters()}
  return {name: p.detach().numpy() for name, p in found.items() if p is not None}


def _heads(rows: np.ndarray, n: int, count: int) -> np.ndarray:
  """Weights or biases of `count` projections, one below the other -> [(d,) (count,) n, k]."""
  shape = (count,) * (count > 1) + (n, -1)
  return rows.T.reshape(len(rows.T), *shape) if rows.ndim == 2 else rows.reshape(shape)


def _attention(weight: np.ndarray, bias: np.ndarray, out: Tensors, n: int, cross: bool) -> dict:
  """From the rows of q, k and v."""
  d = weight.shape[1]
  tree = dict(out=dict(kernel=out['weight'].T.reshape(n, d // n, d), bias=out['bias']))
  parts = dict(q=slice(0, d), kv=slice(d, 3 * d)) if cross else dict(qkv=slice(0, 3 * d))
  for (name, rows), count in zip(parts.items(), (1, 2) if cross else (3,)):
    kernel, biases = (_heads(x[rows], n, count) for x in (weight, bias))
    tree[name] = dict(kernel=kernel, bias=biases)
  return tree


def _dense(t: Tensors, name: str) -> dict:
  return dict(kernel=t[f'{name}.weight'].T, bias=t[f'{name}.bias'])


def _norm(t: Tensors, name: str) -> dict:
  return dict(scale=t[f'{name}.weight'], bias=t[f'{name}.bias'])


def _layers(t: Tensors, layer: str, heads: int, cross: bool, attention, names) -> dict:
  block = dict(
    mlp=dict(up=_dense(t, f'{layer}.{names[0]}'), down=_dense(t, f'{layer}.{names[1]}')),
    attention=attention(f'{layer}.self_attn', heads, False),
  )
  for i, name in enumerate(names[2:], 1):
    block[f'norm{i}'] = _norm(t, f'{layer}.{name}')
  if cross:
    block['cross'] = attention(
      f'{layer}.{"multihead" if "linear1" in names else "encoder"}_attn', heads, True
    )
  return block


def of_torch(t: Tensors, depth: int, heads: int) -> dict:
  """Of `WithEmbeddings`."""

  def attention(name, n, cross):
    out = {key: t[f'{name}.out_proj.{key}'] for key in ('weight', 'bias')}
    return _attention(t[f'{name}.in_proj_weight'], t[f'{name}.in_proj_bias'], out, n, cross)

  tree = dict(source=dict(embedding=t['embed.weight']))
  for kind in ('encoder', 'decoder'):
    cross = kind == 'decoder'
    names = ('linear1', 'linear2', 'norm1', 'norm2') + ('norm3',) * cross
    tree[kind] = {
      f'block_{i}': _layers(t, f'inner.{kind}.layers.{i}', heads, cross, attention, names)
      for i in range(depth)
    }
    tree[f'{kind}_norm'] = _norm(t, f'inner.{kind}.norm')
  return tree


def of_marian(t: Tensors, depth: int, heads: int) -> dict:
  """Of `MarianMTModel`."""

  def attention(name, n, cross):
    weight, bias = (
      np.concatenate([t[f'{name}.{part}_proj.{key}'] for part in 'qkv'])
      for key in ('weight', 'bias')
    )
    out = {key: t[f'{name}.out_proj.{key}'] for key in ('weight', 'bias')}
    return _attention(weight, bias, out, n, cross)

  tree = dict(source=dict(embedding=t['model.shared.weight']))
  for kind in ('encoder', 'decoder'):
    cross = kind == 'decoder'
    norms = ['self_attn_layer_norm', *['encoder_attn_layer_norm'] * cross, 'final_layer_norm']
    tree[kind] = {
      f'block_{i}': _layers(
        t, f'model.{kind}.layers.{i}', heads, cross, attention, ('fc1', 'fc2', *norms)
      )
      for i in range(depth)
    }
  return tree
