"""Normalisation by name, with the epsilon said aloud: it differs between published weights."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from vitlab.errors import unknown

NORMS = {'layernorm': nn.LayerNorm, 'rmsnorm': nn.RMSNorm}


def make_norm(name: str, epsilon: float, dtype: Any = jnp.float32) -> nn.Module:
  """A norm over the last axis whose statistics are at least float32.

  Args:
    name: 'layernorm' (Ba et al. 2016, arXiv:1607.06450) or 'rmsnorm' (Zhang and Sennrich 2019,
      arXiv:1910.07467).
    epsilon: Added to the variance (LayerNorm) or the mean square (RMSNorm): 1e-6 in JAX's ViTs,
      timm and DeiT, 1e-12 in Hugging Face's ViT, 1e-5 in DINOv3 and Swin.
    dtype: Of the result.

  Raises:
    UserError: there is no norm of this name.
  """
  if name not in NORMS:
    raise unknown('norm', name, NORMS)
  # Not the fast variance E[x²] - E[x]²: it cancels where the mean is large, as in late ViT layers.
  extra = dict(use_fast_variance=False) if name == 'layernorm' else {}
  return NORMS[name](epsilon=epsilon, dtype=dtype, **extra)
