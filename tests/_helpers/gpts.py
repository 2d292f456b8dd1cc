"""Tiny GPTs of Hugging Face, perturbed and in float64, and ours of the same weights."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import torch
from _helpers import parity
from transformers import (
  GPT2Config,
  GPT2LMHeadModel,
  OpenAIGPTConfig,
  OpenAIGPTLMHeadModel,
)

from vitlab import registry

VOCAB, CONTEXT, WIDTH = 17, 12, 16
TINY = dict(vocab_size=VOCAB, n_positions=CONTEXT, n_embd=WIDTH, n_layer=2, n_head=2)
KINDS = {
  'gpt2': (GPT2Config, GPT2LMHeadModel),
  'openai-gpt': (OpenAIGPTConfig, OpenAIGPTLMHeadModel),
}
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, 9), dtype=np.int32)


def make(kind: str, **words) -> torch.nn.Module:
  """Random weights: N(0, 0.3) around matrices of nothing, norms around one."""
  config, model = KINDS[kind]
  module = model(config(**(TINY | dict(attn_implementation='eager') | words)))
  random, module = np.random.default_rng(0), module.double().eval()
  with torch.no_grad():
    for name, value in module.named_parameters():
      centre = float('ln_' in name and name.endswith('weight'))
      value.copy_(torch.tensor(random.normal(centre, 0.3, tuple(value.shape))))
  return module


def logits(module: torch.nn.Module, tokens=TOKENS) -> np.ndarray:
  with torch.no_grad():
    return module(torch.tensor(tokens).long()).logits.numpy()


def in_double(weights, **words):
  """Our model, in float64, and its variables."""
  model = registry.make('models', {**weights.about.spec, 'dtype': 'float64', **words})
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), like)
  return model, jax.tree.map(jnp.asarray, weights.load(like))


def ours(model, variables, tokens=TOKENS) -> np.ndarray:
  return np.asarray(jax.jit(lambda *x: model.apply(*x)[0])(variables, tokens))


def gradients(model, variables, weights):
  """Of the product of the logits with the weights, for every parameter."""
  run = lambda v, tokens: (model.apply(v, tokens)[0] * weights).sum()  # noqa: E731
  return jax.jit(jax.grad(run))(variables, TOKENS)


def oracle_gradients(module, weights) -> dict[str, np.ndarray]:
  """The same of theirs, by the names of their files."""
  module.zero_grad()
  (module(torch.tensor(TOKENS).long()).logits * torch.tensor(weights)).sum().backward()
  return {name: p.grad.numpy() for name, p in module.named_parameters()}


def error(a, b) -> float:
  """The largest difference, relative to the largest number."""
  largest = max(np.abs(np.asarray(x)).max() for x in jax.tree.leaves(b))
  return parity.error(a, b) / largest
