"""GPT-2 written plainly in PyTorch: the model and the recipe of nanoGPT, to run beside ours.

Norms in front of the branches, learned positions, one matrix for tokens and logits, exact GELU,
with or without biases; AdamW whose decay leaves norms alone, a cosine down to a tenth, gradients
clipped at 1.
"""

import math

import torch
import torch.nn.functional as F


class Block(torch.nn.Module):
  """x + attention(norm(x)), then x + mlp(norm(x))."""

  def __init__(self, width: int, heads: int, bias: bool):
    super().__init__()
    self.heads = heads
    self.norm1, self.norm2 = (torch.nn.LayerNorm(width, bias=bias) for _ in range(2))
    self.qkv = torch.nn.Linear(width, 3 * width, bias=bias)
    self.out = torch.nn.Linear(width, width, bias=bias)
    self.up = torch.nn.Linear(width, 4 * width, bias=bias)
    self.down = torch.nn.Linear(4 * width, width, bias=bias)

  def forward(self, x):
    b, t, d = x.shape
    q, k, v = (
      self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
    )
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + self.out(mixed.transpose(1, 2).reshape(b, t, d))
    return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(torch.nn.Module):
  """Tokens (b, t) -> logits (b, t, vocabulary)."""

  def __init__(
    self, vocab: int, context: int, width: int, depth: int, heads: int, bias: bool = False
  ):
    super().__init__()
    self.tokens = torch.nn.Embedding(vocab, width)
    self.places = torch.nn.Embedding(context, width)
    self.blocks = torch.nn.ModuleList(Block(width, heads, bias) for _ in range(depth))
    self.norm = torch.nn.LayerNorm(width, bias=bias)
    for name, p in self.named_parameters():
      if p.ndim == 2:
        last = name.endswith(('out.weight', 'down.weight'))
        torch.nn.init.normal_(p, std=0.02 / math.sqrt(2 * depth) if last else 0.02)

  def forward(self, tokens):
    x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
    for block in self.blocks:
      x = block(x)
    return F.linear(self.norm(x), self.tokens.weight)


def huggingface(model: GPT) -> dict[str, torch.Tensor]:
  """Its weights (with biases) under the names, and in the layout, of GPT-2 of Hugging Face."""
  names = dict(norm1='ln_1', norm2='ln_2', qkv='attn.c_attn', out='attn.c_proj')
  names |= dict(up='mlp.c_fc', down='mlp.c_proj')
  found = {'wte.weight': model.tokens.weight, 'wpe.weight': model.places.weight}
  found |= {f'ln_f.{name}': p for name, p in model.norm.named_parameters()}
  for i, block in enumerate(model.blocks):
    for name, p in block.named_parameters():
      layer, kind = name.split('.')
      found[f'h.{i}.{names[layer]}.{kind}'] = p.T if p.ndim == 2 else p
  return {f'transformer.{name}': p for name, p in found.items()}


def optimizer(model: GPT, rate: float, b2: float, decay: float) -> torch.optim.AdamW:
  """AdamW; vectors are not decayed."""
  groups = [
    dict(params=[p for p in model.parameters() if p.ndim == 2], weight_decay=decay),
    dict(params=[p for p in model.parameters() if p.ndim < 2], weight_decay=0.0),
  ]
  return torch.optim.AdamW(groups, lr=rate, betas=(0.9, b2), fused=model.norm.weight.is_cuda)


def rate_at(step: int, total: int, peak: float, warmup: int) -> float:
  """nanoGPT's: linear up, then a cosine from the peak to a tenth of it."""
  if step < warmup:
    return peak * (step + 1) / (warmup + 1)
  share = (step - warmup) / (total - warmup)
  return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))
