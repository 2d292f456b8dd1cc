"""Torch's Transformer as a translator: what `torch.nn.Transformer` lacks, written plainly.

One matrix embeds sentences and makes logits; positions are sines, then cosines; norms come first.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

PAD, BOS, EOS = range(3)


class Translator(torch.nn.Module):
  """`torch.nn.Transformer` between a tied embedding and its logits."""

  def __init__(self, size, dropout: float):
    super().__init__()
    self.embed = torch.nn.Embedding(size.vocab_size, size.width)
    torch.nn.init.normal_(self.embed.weight, std=size.width**-0.5)
    self.inner = torch.nn.Transformer(
      size.width,
      size.num_heads,
      size.depth,
      size.depth,
      size.mlp_dim,
      dropout,
      batch_first=True,
      norm_first=True,
    )
    self.dropout = torch.nn.Dropout(dropout)
    for layer in (*self.inner.encoder.layers, *self.inner.decoder.layers):
      # The paper drops branches, not what is inside of them, and so do we: the same work.
      layer.dropout.p = layer.self_attn.dropout = 0.0
    for layer in self.inner.decoder.layers:
      layer.multihead_attn.dropout = 0.0
    frequency = 10_000.0 ** (-np.arange(0, size.width, 2) / size.width)
    angle = np.arange(512)[:, None] * frequency
    table = torch.tensor(np.concatenate([np.sin(angle), np.cos(angle)], axis=1)).float()
    self.register_buffer('position', table)

  def embedded(self, tokens, at=None):
    position = self.position[slice(tokens.shape[1]) if at is None else at]
    return self.dropout(self.embed(tokens) * math.sqrt(self.embed.embedding_dim) + position)

  def logits(self, tokens, targets):
    """Of each target, by teacher forcing."""
    inputs = F.pad(targets[:, :-1], (1, 0), value=BOS)
    future = torch.ones(2 * inputs.shape[1:], dtype=torch.bool, device=inputs.device).triu(1)
    padding = tokens == PAD
    x = self.inner(
      self.embedded(tokens),
      self.embedded(inputs),
      tgt_mask=future,
      tgt_is_causal=True,
      src_key_padding_mask=padding,
      memory_key_padding_mask=padding,
    )
    return F.linear(x, self.embed.weight)

  def loss(self, tokens, targets, smoothing: float):
    options = dict(ignore_index=PAD, label_smoothing=smoothing)
    logits = self.logits(tokens, targets).flatten(0, 1)
    return F.cross_entropy(logits, targets.flatten(), **options)


class Decoder:
  """Says sentences token by token with the layers of a `Translator`, keeping keys and values."""

  def __init__(self, model: Translator):
    self.model, self.layers = model, model.inner.decoder.layers
    self.heads = self.layers[0].self_attn.num_heads

  def split(self, x):
    return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

  def start(self, tokens, length: int):
    """What looks at the source, and room for the keys and values of `length` tokens."""
    padding, cross, past = tokens == PAD, [], []
    memory = self.model.inner.encoder(self.model.embedded(tokens), src_key_padding_mask=padding)
    for layer in self.layers:
      a, d = layer.multihead_attn, memory.shape[-1]
      keys_and_values = F.linear(memory, a.in_proj_weight[d:], a.in_proj_bias[d:]).chunk(2, -1)
      cross.append([self.split(x).contiguous() for x in keys_and_values])
      k = cross[-1][0]
      past.append([k.new_zeros(*k.shape[:2], length, k.shape[3]) for _ in range(2)])
    return cross, ~padding[:, None, None], past

  def step(self, token, i, cross, seen, past):
    """Logits of the token after this one, the i-th (a tensor: one program for all)."""
    x = self.model.embedded(token[:, None], i)
    said = torch.arange(past[0][0].shape[2], device=x.device) <= i
    for layer, (cross_k, cross_v), (past_k, past_v) in zip(self.layers, cross, past):
      a, d = layer.self_attn, x.shape[-1]
      q, k, v = F.linear(layer.norm1(x), a.in_proj_weight, a.in_proj_bias).chunk(3, -1)
      past_k.index_copy_(2, i, self.split(k)), past_v.index_copy_(2, i, self.split(v))
      y = F.scaled_dot_product_attention(self.split(q), past_k, past_v, attn_mask=said[None])
      x = x + a.out_proj(y.transpose(1, 2).flatten(2))
      a = layer.multihead_attn
      q = F.linear(layer.norm2(x), a.in_proj_weight[:d], a.in_proj_bias[:d])
      y = F.scaled_dot_product_attention(self.split(q), cross_k, cross_v, attn_mask=seen)
      x = x + a.out_proj(y.transpose(1, 2).flatten(2))
      x = x + layer.linear2(layer.activation(layer.linear1(layer.norm3(x))))
    return F.linear(self.model.inner.decoder.norm(x), self.model.embed.weight)[:, 0]

  def greedy(self, tokens):
    """The sentences, each of up to twice its source and 8 more tokens."""
    limit = 2 * (tokens != PAD).sum(1) + 8
    length = 2 * tokens.shape[1] + 8
    state = self.start(tokens, length)
    token = torch.full_like(tokens[:, 0], BOS)
    said, done = tokens.new_zeros(len(tokens), length), torch.zeros_like(token, dtype=torch.bool)
    for i in torch.arange(length, device=tokens.device)[:, None]:
      logits = self.step(token, i, *state)
      logits[:, : BOS + 1] = -torch.inf
      token = logits.argmax(1).masked_fill(done, PAD)
      said[:, i] = token[:, None]
      done |= (token == EOS) | (i + 1 >= limit)
      if done.all():
        break
    return said

  def logits(self, tokens, targets):
    """As `Translator.logits`, but one by one."""
    state = self.start(tokens, targets.shape[1])
    inputs = F.pad(targets[:, :-1], (1, 0), value=BOS)
    places = torch.arange(targets.shape[1], device=targets.device)[:, None]
    steps = [self.step(token, i, *state) for token, i in zip(inputs.T, places)]
    return torch.stack(steps, dim=1)
