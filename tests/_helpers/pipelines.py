"""Pictures as timm and Hugging Face prepare them, from the bytes of a file to arrays [h w c]."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import io

import numpy as np
from PIL import Image
from timm.data import create_transform, resolve_data_config
from transformers.image_utils import load_image


def by_timm(picture, cfg):
  """Normalised, by the words of a `pretrained_cfg`, as timm's `ImageDataset` opens a file."""
  config = resolve_data_config(pretrained_cfg=cfg)
  image = Image.open(io.BytesIO(picture)).convert('RGB' if config['input_size'][0] == 3 else 'L')
  return create_transform(**config)(image).numpy().transpose(1, 2, 0)


def by_huggingface(picture, processor):
  """Normalised, as the pipeline for image classification opens a file."""
  image = load_image(Image.open(io.BytesIO(picture)))
  pixels = processor(image, return_tensors='pt')['pixel_values'][0]
  return np.asarray(pixels).transpose(1, 2, 0)
