"""Folders of tiny models as timm and Hugging Face save them, with random weights."""

import pathlib
from functools import cache

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import timm
import torch
from timm.models import _hub
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

CLASSES = ('ant', 'bee', 'cat', 'dog', 'eel')
SIZE = 32
TIMM = dict(img_size=SIZE, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=5)


@cache
def timm_vit() -> torch.nn.Module:
  torch.manual_seed(0)
  return timm.create_model('vit_base_patch16_224', **TIMM).eval()


@cache
def digits_vit() -> torch.nn.Module:
  """A ViT for the digits, 8×8 and grey, in the sizes of `runs.config`."""
  torch.manual_seed(0)
  sizes = dict(img_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=2, mlp_ratio=1, in_chans=1)
  model = timm.create_model('vit_base_patch16_224', **sizes, num_classes=10).eval()
  model.pretrained_cfg.update(mean=(0.3,), std=(0.4,))
  return model


def save_timm(folder: pathlib.Path, model: torch.nn.Module | None = None) -> pathlib.Path:
  """As `timm.models.push_to_hf_hub` writes it."""
  model = model or timm_vit()
  names = list(CLASSES) if model.num_classes == len(CLASSES) else None
  _hub.save_for_hf(model, folder, model_config=dict(label_names=names), safe_serialization=True)
  return folder


@cache
def huggingface_vit() -> torch.nn.Module:
  torch.manual_seed(0)
  config = ViTConfig(
    image_size=SIZE,
    patch_size=8,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    id2label=dict(enumerate(CLASSES)),
    label2id={name: i for i, name in enumerate(CLASSES)},
  )
  return ViTForImageClassification(config).eval()


def save_huggingface(folder: pathlib.Path, **options) -> pathlib.Path:
  """As `save_pretrained` writes it, with a processor that squashes."""
  huggingface_vit().save_pretrained(folder, **options)
  ViTImageProcessor(size=dict(height=SIZE, width=SIZE)).save_pretrained(folder)
  return folder


def pictures(count: int = 2, size: int = SIZE) -> np.ndarray:
  """Normalised images, b h w c."""
  return np.random.default_rng(0).normal(size=(count, size, size, 3)).astype(np.float32)


def logits(module: torch.nn.Module, image: np.ndarray) -> np.ndarray:
  """Of a torch model of either library, float32."""
  with torch.no_grad():
    result = module.eval()(torch.tensor(image.transpose(0, 3, 1, 2)))
  return getattr(result, 'logits', result).numpy()
