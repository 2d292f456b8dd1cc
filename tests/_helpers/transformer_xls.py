"""Tiny Transformer-XLs of Hugging Face, perturbed and in float64, and ours of the same weights."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import torch
from transformers.models.deprecated.transfo_xl import TransfoXLConfig, TransfoXLLMHeadModel

from vitlab import registry

VOCAB, WIDTH, DEPTH, SEGMENT = 64, 16, 2, 5
TINY = dict(
  vocab_size=VOCAB,
  cutoffs=[],
  d_model=WIDTH,
  d_embed=WIDTH,
  n_head=2,
  d_head=8,
  d_inner=32,
  div_val=1,
  n_layer=DEPTH,
  mem_len=7,
  clamp_len=-1,
  same_length=False,
)
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, 3 * SEGMENT), dtype=np.int32)


def mend(monkeypatch) -> None:
  """What their forward pass needs with a torch of today, and what keeps it in float64.

  They call `type_as(dtype=...)`, which torch has not, and round the scores of attention to float32
  before they mask them with the smallest float64, which that cannot hold.
  """
  monkeypatch.setattr(
    torch.Tensor, 'type_as', lambda self, other=None, dtype=None: _as(self, other, dtype)
  )
  monkeypatch.setattr(torch.Tensor, 'float', lambda self: self)


def _as(tensor, other, dtype):
  return tensor.to(other.dtype if dtype is None else dtype)


def make(**words) -> torch.nn.Module:
  """Random weights: N(0, 0.3) around matrices of nothing, norms around one."""
  module = TransfoXLLMHeadModel(TransfoXLConfig(**(TINY | words)))
  random, module = np.random.default_rng(0), module.double().eval()
  with torch.no_grad():
    for name, value in module.named_parameters():
      centre = float('layer_norm.weight' in name)
      value.copy_(torch.tensor(random.normal(centre, 0.3, tuple(value.shape))))
    positions = module.transformer.pos_emb  # whose frequencies were rounded to float32
    positions.inv_freq = torch.tensor(10_000 ** -(np.arange(0, WIDTH, 2) / WIDTH))
  return module


def segments(tokens=TOKENS) -> list[np.ndarray]:
  return np.split(tokens, range(SEGMENT, tokens.shape[1], SEGMENT), axis=1)


def read(module: torch.nn.Module, tokens=TOKENS, empty=True) -> list[torch.Tensor]:
  """Log-probabilities of segments read one after the other, from an empty memory as in the paper.

  Or from the zeros that their model begins with, and attends to.
  """
  size = (0, len(tokens), WIDTH)
  memory = [torch.zeros(size, dtype=torch.float64)] * DEPTH if empty else None
  found = []
  for segment in segments(tokens):
    out = module(torch.tensor(segment).long(), mems=memory)
    memory, given = out.mems, out.prediction_scores
    found.append(given.reshape(*segment.shape, -1))
  return found


def logits(module: torch.nn.Module, tokens=TOKENS, **options) -> np.ndarray:
  with torch.no_grad():
    return torch.cat(read(module, tokens, **options), dim=1).numpy()


def in_double(weights, **words):
  """Our model, in float64, and its variables."""
  model = registry.make(
    'models', {**weights.about.spec, 'dtype': 'float64', 'context': SEGMENT, **words}
  )
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  like = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), {'params': like['params']}
  )
  return model, jax.tree.map(jnp.asarray, weights.load(like))


def ours(model, variables, tokens=TOKENS) -> jax.Array:
  """Log-probabilities, segment by segment."""
  return jax.nn.log_softmax(model.apply(variables, jnp.asarray(tokens))[0])
