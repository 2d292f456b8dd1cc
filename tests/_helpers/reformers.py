"""Tiny Reformers of Hugging Face, perturbed and in float64, and ours of the same weights."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import torch
from transformers import ReformerConfig, ReformerModelWithLMHead

from vitlab import registry

VOCAB = 17
TINY = dict(
  vocab_size=VOCAB,
  attention_head_size=8,
  num_attention_heads=2,
  hidden_size=12,
  feed_forward_size=20,
  attn_layers=['local', 'lsh', 'lsh'],
  axial_pos_shape=[4, 8],
  axial_pos_embds_dim=[4, 8],
  lsh_attn_chunk_length=4,
  local_attn_chunk_length=4,
  num_buckets=4,
  num_hashes=2,
  hash_seed=7,
  is_decoder=True,
  max_position_embeddings=32,
  hidden_dropout_prob=0.0,
  lsh_attention_probs_dropout_prob=0.0,
  local_attention_probs_dropout_prob=0.0,
  use_cache=False,
)
DOUBLE = dict(dtype='float64', dropout_rate=0.0)
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, 32), dtype=np.int32)


def make(**words) -> torch.nn.Module:
  """Random weights: N(0, 0.3) around nothing, norms around one."""
  module = ReformerModelWithLMHead(ReformerConfig(**(TINY | words))).double().eval()
  random = np.random.default_rng(0)
  with torch.no_grad():
    for name, value in module.named_parameters():
      centre = float('layer_norm' in name and name.endswith('weight'))
      value.copy_(torch.tensor(random.normal(centre, 0.3, tuple(value.shape))))
  return module


def logits(module: torch.nn.Module, tokens=TOKENS) -> np.ndarray:
  with torch.no_grad():
    return module(torch.tensor(tokens).long()).logits.numpy()


def rotations(module: torch.nn.Module) -> np.ndarray:
  """What every one of their layers draws from the seed again."""
  config = module.config
  buckets = config.num_buckets
  width = (buckets if isinstance(buckets, int) else sum(buckets)) // 2
  torch.manual_seed(config.hash_seed)
  shape = (config.num_attention_heads, config.attention_head_size, config.num_hashes, width)
  return torch.randn(shape, dtype=torch.float64).numpy()


def in_double(weights, **words):
  """Our model, in float64, and its variables."""
  model = registry.make('models', {**weights.about.spec, **DOUBLE, **words})
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), like)
  return model, jax.tree.map(jnp.asarray, weights.load(like))


def ours(model, variables, rotations, tokens=TOKENS) -> np.ndarray:
  apply = jax.jit(lambda *x: model.apply(x[0], x[1], rotations=x[2])[0])
  return np.asarray(apply(variables, tokens, rotations))


def gradients(model, variables, rotations, weights, tokens=TOKENS):
  """Of the product of the logits with the weights, through reversible layers."""

  def run(variables, tokens, rotations):
    found, _ = model.apply(variables, tokens, True, rotations=rotations)
    return (found * weights).sum()

  return jax.jit(jax.grad(run))(variables, tokens, rotations)


def oracle_gradients(module, weights, tokens=TOKENS) -> dict[str, np.ndarray]:
  """The same of theirs, by the names of their files."""
  module.train().zero_grad()
  (module(torch.tensor(tokens).long()).logits * torch.tensor(weights)).sum().backward()
  module.eval()
  return {name: p.grad.numpy() for name, p in module.named_parameters()}
