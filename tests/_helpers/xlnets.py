"""Tiny XLNets of Hugging Face, perturbed and in float64, and ours of the same weights."""

import types

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from vitlab import registry

TINY = dict(vocab_size=17, d_model=16, n_layer=2, n_head=2, d_inner=32, mem_len=None, num_labels=3)
KINDS = dict(
  words='XLNetLMHeadModel',
  texts='XLNetForSequenceClassification',
  tokens='XLNetForTokenClassification',
  bare='XLNetModel',
)
# Padding on the left, as theirs has it; the last token is that of the classifier.
TOKENS = np.array([[0, 0, 9, 5, 2, 7, 7, 16, 4], [1, 3, 4, 6, 8, 10, 11, 13, 4]], np.int32)
SEGMENTS = np.array([[0, 0, 1, 1, 1, 2, 2, 2, 3], [1, 1, 1, 1, 1, 1, 2, 2, 3]], np.int32)


def make(kind: str, **words) -> torch.nn.Module:
  """Random weights: N(0, 0.3) around matrices of nothing, norms around one."""
  config = transformers.XLNetConfig(**(TINY | words))
  random, module = np.random.default_rng(0), getattr(transformers, KINDS[kind])(config)
  with torch.no_grad():
    for name, value in module.double().eval().named_parameters():
      centre = float('layer_norm.weight' in name)
      value.copy_(torch.tensor(random.normal(centre, 0.3, tuple(value.shape))))
  return exact(module)


def exact(module: torch.nn.Module) -> torch.nn.Module:
  """With sinusoids in the numbers of the weights: theirs are float32, which their two streams do
  not even cast, so that they cannot run in float64."""

  def table(model, queries, keys, bsz=None):
    dtype, width = model.word_embedding.weight.dtype, model.d_model
    distance = torch.arange(keys, -queries, -1, dtype=dtype)
    frequency = 10_000 ** (-torch.arange(0, width, 2, dtype=dtype) / width)
    angle = distance[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], -1)[:, None].expand(-1, bsz, -1)

  body = getattr(module, 'transformer', module)
  body.relative_positional_encoding = types.MethodType(table, body)
  return module


def inputs(segments=SEGMENTS, tokens=TOKENS) -> dict[str, torch.Tensor]:
  """What theirs is called with."""
  return dict(
    input_ids=torch.tensor(tokens).long(),
    attention_mask=torch.tensor(segments > 0).double(),
    token_type_ids=torch.tensor(np.maximum(segments - 1, 0)).long(),
  )


def in_double(weights, **words):
  """Our model, in float64, and its parameters."""
  model = registry.make('models', {**weights.about.spec, 'dtype': 'float64', **words})
  like = dict(params=jax.eval_shape(model.init, jax.random.key(0), TOKENS)['params'])
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), like)
  return model, jax.tree.map(jnp.asarray, weights.load(like))
