"""Parameters of torch's Transformer, or their gradients, in vitlab's tree."""

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


def _attention(t: Tensors, name: str, n: int, cross: bool) -> dict:
  """From the rows of q, k and v."""
  weight, bias = t[f'{name}.in_proj_weight'], t[f'{name}.in_proj_bias']
  d = weight.shape[1]
  kernel = t[f'{name}.out_proj.weight'].T.reshape(n, d // n, d)
  tree = dict(out=dict(kernel=kernel, bias=t[f'{name}.out_proj.bias']))
  parts = dict(q=slice(0, d), kv=slice(d, 3 * d)) if cross else dict(qkv=slice(0, 3 * d))
  for (part, rows), count in zip(parts.items(), (1, 2) if cross else (3,)):
    kernel, biases = (_heads(x[rows], n, count) for x in (weight, bias))
    tree[part] = dict(kernel=kernel, bias=biases)
  return tree


def _dense(t: Tensors, name: str) -> dict:
  return dict(kernel=t[f'{name}.weight'].T, bias=t[f'{name}.bias'])


def _norm(t: Tensors, name: str) -> dict:
  return dict(scale=t[f'{name}.weight'], bias=t[f'{name}.bias'])


def _block(t: Tensors, layer: str, heads: int, cross: bool) -> dict:
  tree = dict(
    mlp=dict(up=_dense(t, f'{layer}.linear1'), down=_dense(t, f'{layer}.linear2')),
    attention=_attention(t, f'{layer}.self_attn', heads, False),
  )
  tree |= {f'norm{i}': _norm(t, f'{layer}.norm{i}') for i in range(1, 4 if cross else 3)}
  if cross:
    tree['cross'] = _attention(t, f'{layer}.multihead_attn', heads, True)
  return tree


def of_torch(t: Tensors, depth: int, heads: int) -> dict:
  """Of `WithEmbeddings`."""
  tree = dict(source=dict(embedding=t['embed.weight']))
  for kind in ('encoder', 'decoder'):
    layers = [f'inner.{kind}.layers.{i}' for i in range(depth)]
    blocks = [_block(t, layer, heads, kind == 'decoder') for layer in layers]
    tree[kind] = {f'block_{i}': block for i, block in enumerate(blocks)}
    tree[f'{kind}_norm'] = _norm(t, f'inner.{kind}.norm')
  return tree
