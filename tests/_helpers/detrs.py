"""A tiny DETR of Hugging Face with perturbed weights in float64: what it computes and learns."""

import re
from functools import cache
from typing import Any, NamedTuple
from unittest import mock

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import torch
from _helpers import parity
from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig
from transformers.loss.loss_for_object_detection import ForObjectDetectionLoss

BODY = dict(embedding_size=8, hidden_sizes=[32, 64], depths=[1, 1], layer_type='bottleneck')
TINY = dict(
  d_model=16,
  **dict.fromkeys(('encoder_layers', 'decoder_layers'), 3),
  **dict.fromkeys(('encoder_attention_heads', 'decoder_attention_heads'), 2),
  **dict.fromkeys(('encoder_ffn_dim', 'decoder_ffn_dim'), 24),
  num_queries=7,
  num_labels=5,
)
# The same of ours; what a file says is tested where it is read.
OURS = dict(variant='mu', depth=3, num_heads=2, mlp_dim=24, num_queries=7, num_classes=5)
BACKBONE = dict(variant='mu', width=8, depths=(1, 1), block='bottleneck', norm='frozen_batchnorm')
# Two pictures, the second padded to no whole number of pixels of the map; objects and one none.
SIZE = np.array([[64, 96], [37, 60]])
BOXES = np.array(
  [
    [[5.0, 8, 40, 30], [50, 3, 90, 60], [10, 30, 30, 55]],
    [[20.0, 10, 50, 36], [3, 3, 22, 17], [0, 0, 0, 0]],
  ]
)
CLASSES = np.array([[0, 4, 2], [1, 1, -1]])
IMAGE = parity.image((2, 64, 96, 3))
IMAGE[1, 37:], IMAGE[1, :, 60:] = 0, 0


class Oracle(NamedTuple):
  """What theirs gives, as NumPy arrays.

  Attributes:
    tensors: Its weights by the names of its files.
    logits, boxes: Behind every layer, [b, layers, q, ...].
    encoded: What the decoder looks at, [b, s, d].
    attention: Weights of all blocks: 'attention', 'query_attention', 'cross_attention'.
    losses: By their names.
    loss: All of them, weighted.
    grads: Of that in every parameter.
  """

  tensors: dict[str, np.ndarray]
  logits: np.ndarray
  boxes: np.ndarray
  encoded: np.ndarray
  attention: dict[str, list[np.ndarray]]
  losses: dict[str, float]
  loss: float
  grads: dict[str, np.ndarray]


def make(**words: Any) -> DetrForObjectDetection:
  """With random parameters and statistics; the backbone, too, gets gradients."""
  torch.manual_seed(0)
  body = ResNetConfig(**BODY, out_features=['stage2'])
  none = dict(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None)
  config = DetrConfig(**none, backbone_config=body, attn_implementation='eager', **TINY | words)
  model = parity.perturb(DetrForObjectDetection(config)).requires_grad_(True)
  with torch.no_grad():  # else all queries would find about the same
    for name, parameter in model.named_parameters():
      if re.search(r'(encoder_attn\.\w+|class\w+|input_projection)\.weight', name):
        parameter *= 8
  generator = torch.Generator().manual_seed(0)
  for name, buffer in model.named_buffers():
    low = 0.5 if name.endswith(('var', 'weight')) else -0.5
    buffer.copy_(low + torch.rand(buffer.shape, generator=generator, dtype=torch.float64))
  return model


def float64_positions():
  """They count pixels and make sines in float32, whatever the model computes in."""
  cumsum = torch.Tensor.cumsum
  return (
    mock.patch.object(torch.Tensor, 'float', torch.Tensor.double),
    mock.patch.object(torch.Tensor, 'cumsum', lambda x, axis, dtype: cumsum(x.double(), axis)),
  )


@cache
def oracle() -> Oracle:
  """Its results.

  Layers before the last are its heads on its norm of what these layers give out: with
  auxiliary_loss=True it would feed the norm to the next layer, which Meta's code does not.
  """
  model = make()
  pixels = torch.tensor(IMAGE.transpose(0, 3, 1, 2))
  mask = torch.zeros(IMAGE.shape[:3], dtype=torch.long)
  for row, (height, width) in zip(mask, SIZE):
    row[:height, :width] = 1
  first, second = float64_positions()
  with first, second:
    out = model(pixels, mask, output_hidden_states=True, output_attentions=True)
  norm = model.model.decoder.layernorm
  states = torch.stack([*map(norm, out.decoder_hidden_states[1:-1]), out.last_hidden_state])
  logits, boxes = model.class_labels_classifier(states), model.bbox_predictor(states).sigmoid()
  loss, losses = set_loss(logits, boxes)
  loss.backward()
  kinds = dict(attention='encoder', query_attention='decoder', cross_attention='cross')
  array = lambda x: x.detach().numpy()  # noqa: E731
  return Oracle(
    {name: array(x) for name, x in model.state_dict().items()},
    array(logits.transpose(0, 1)),
    array(boxes.transpose(0, 1)),
    array(out.encoder_last_hidden_state),
    {k: [array(x) for x in out[f'{theirs}_attentions']] for k, theirs in kinds.items()},
    losses,
    float(loss.detach()),
    {name: array(p.grad) for name, p in model.named_parameters()},
  )


def set_loss(logits: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
  """Their loss of what stands behind all layers, [layers, b, q, ...], and its parts."""
  torch.set_default_dtype(torch.float64)  # of the weights of classes
  config = DetrConfig(auxiliary_loss=True, **TINY)
  loss, losses, _ = ForObjectDetectionLoss(
    logits[-1], labels(), 'cpu', boxes[-1], config, logits, boxes
  )
  torch.set_default_dtype(torch.float32)
  return loss, {name: float(x.detach()) for name, x in losses.items()}


def labels() -> list[dict[str, torch.Tensor]]:
  """The objects as they want them."""
  result = []
  for boxes, classes, (height, width) in zip(BOXES, CLASSES, SIZE):
    boxes, classes = boxes[classes >= 0], classes[classes >= 0]
    centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    relative = np.concatenate([centre, sides], axis=1) / [width, height, width, height]
    result.append(dict(class_labels=torch.tensor(classes), boxes=torch.tensor(relative)))
  return result


# Regex of a name of Hugging Face -> Meta's; by facebookresearch/detr, models/transformer.py.
META = {
  r'^model\.backbone\.conv_encoder\.model\.': 'backbone.0.body.',
  r'^model\.(encoder|decoder)': r'transformer.\1',
  r'encoder_attn_layer_norm': 'norm2',
  r'encoder_attn\.': 'multihead_attn.',
  r'self_attn_layer_norm': 'norm1',
  r'(encoder\.layers\.\d+\.)final_layer_norm': r'\1norm2',
  r'(decoder\.layers\.\d+\.)final_layer_norm': r'\1norm3',
  r'\.fc([12])\.': r'.linear\1.',
  r'decoder\.layernorm': 'decoder.norm',
  r'^model\.input_projection': 'input_proj',
  r'^model\.query_position_embeddings': 'query_embed',
  r'^class_labels_classifier': 'class_embed',
  r'^bbox_predictor': 'bbox_embed',
  r'embedder\.embedder\.convolution': 'conv1',
  r'embedder\.embedder\.normalization': 'bn1',
  r'encoder\.stages\.0\.layers': 'layer1',
  r'encoder\.stages\.1\.layers': 'layer2',
  r'shortcut\.convolution': 'downsample.0',
  r'shortcut\.normalization': 'downsample.1',
  **{rf'layer\.{i}\.convolution': f'conv{i + 1}' for i in range(3)},
  **{rf'layer\.{i}\.normalization': f'bn{i + 1}' for i in range(3)},
}


def to_meta(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The same weights as Meta's code names them: queries, keys and values in one tensor."""
  result, apart = {}, {}
  for name, tensor in tensors.items():
    for pattern, replacement in META.items():
      name = re.sub(pattern, replacement, name)
    if match := re.fullmatch(r'(.*attn)\.([qkv])_proj\.(weight|bias)', name):
      apart.setdefault(f'{match[1]}.in_proj_{match[3]}', {})[match[2]] = tensor
    else:
      result[name] = tensor
  joined = {name: np.concatenate([parts[x] for x in 'qkv']) for name, parts in apart.items()}
  return result | joined


def to_version_5(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The same weights as models of transformers 5 name them in memory."""
  result = {}
  for name, tensor in tensors.items():
    name = name.replace('.conv_encoder.', '.').replace('attn.out_proj', 'attn.o_proj')
    result[re.sub(r'\.(fc[12])\.', r'.mlp.\1.', name)] = tensor
  return result
