"""DeiT in training: both heads equal those of timm and of Hugging Face, with their gradients."""

from functools import cache

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity
from timm.models.deit import VisionTransformerDistilled
from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

from vitlab.models import vit
from vitlab.pretrained import import_tensors

MODEL = vit.make(
  'mu/4',
  5,
  width=16,
  depth=2,
  num_heads=2,
  mlp_dim=64,
  mlp='gelu',
  distillation_token=True,
  dtype='float64',
)
SHAPE = (2, 8, 12, 3)


def timm_oracle():
  size = dict(img_size=SHAPE[1:3], patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=5)
  model = parity.perturb(VisionTransformerDistilled(**size))
  model.set_distilled_training()
  return 'timm', model.train(), model.blocks, lambda both: both


def huggingface_oracle():
  config = DeiTConfig(
    image_size=SHAPE[1:3],
    patch_size=4,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    num_labels=5,
    layer_norm_eps=1e-6,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
  )
  model = parity.perturb(DeiTForImageClassificationWithTeacher(config)).train()
  blocks = model.deit.encoder.layer
  return 'huggingface', model, blocks, lambda out: (out.cls_logits, out.distillation_logits)


ORACLES = [timm_oracle, huggingface_oracle]


@cache
def expected(oracle):
  """Format, tensors and results; the logits of both heads lie side by side."""
  name, model, blocks, heads = oracle()
  side_by_side = lambda out: torch.cat(heads(out), -1)  # noqa: E731
  return name, model.state_dict(), parity.oracle(model, blocks, parity.image(SHAPE), side_by_side)


@jax.jit
def run(params, picture):
  def functional(params):
    logits, out = MODEL.apply({'params': params}, picture, train=True)
    both = jnp.concatenate([logits, out['distillation_logits']], -1)
    blocks = [block['tokens'] for block in out['blocks']]
    return (both * parity.projection(both.shape)).sum(), (both, blocks)

  (_, aux), grads = jax.value_and_grad(functional, has_aux=True)(params)
  return parity.Results(*aux, grads)


def load(tensors, name):
  like = {'params': parity.abstract(MODEL, parity.image(SHAPE))}
  return import_tensors(tensors, like, 'vit', name)['params']


@pytest.mark.parametrize('oracle', ORACLES)
def test_both_heads_blocks_and_gradients(oracle, x64):
  name, tensors, wanted = expected(oracle)
  got = run(load(tensors, name), jnp.asarray(parity.image(SHAPE)))
  assert parity.error(got.logits, wanted.logits) < 1e-9
  assert len(got.blocks) == len(wanted.blocks) == 2
  assert parity.error(got.blocks, wanted.blocks) < 1e-9
  assert parity.error(got.grads, load(wanted.grads, name)) < 1e-9


@pytest.mark.parametrize('trap', ['tokens', 'heads'])
def test_a_confusion_of_class_and_distillation_would_be_seen(trap, x64):
  name, tensors, wanted = expected(timm_oracle)
  params = load(tensors, name)
  for a, b in {'tokens': [('cls_token', 'dist_token')], 'heads': [('head', 'head_dist')]}[trap]:
    params[a], params[b] = params[b], params[a]
  got = run(params, jnp.asarray(parity.image(SHAPE)))
  assert parity.error(got.logits, wanted.logits) > 1e-3


def test_the_mean_of_heads_is_what_evaluation_gives(x64):
  name, tensors, wanted = expected(timm_oracle)
  evaluate = jax.jit(lambda params, picture: MODEL.apply({'params': params}, picture)[0])
  got = evaluate(load(tensors, name), jnp.asarray(parity.image(SHAPE)))
  mean = np.asarray(wanted.logits).reshape(2, 2, 5).mean(1)
  assert parity.error(got, mean) < 1e-9
