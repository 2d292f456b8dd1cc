"""What a Swin computes is read from its files, and written so that their libraries build it."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import pytest
import timm
import torch
from _helpers import published, round_trips
from transformers import (
  SwinConfig,
  SwinForImageClassification,
  Swinv2Config,
  Swinv2ForImageClassification,
  ViTImageProcessor,
)

from vitlab.errors import UserError
from vitlab.pretrained import find_format

TINY = dict(patch_size=2, embed_dim=8, depths=(2, 2), num_heads=(1, 2))
PICTURE = published.pictures()


@pytest.mark.parametrize(
  ('architecture', 'expected'),
  [
    ('swin_tiny_patch4_window7_224', dict(variant='T', window_size=7)),
    ('swin_small_patch4_window7_224', dict(variant='S', window_size=7)),
    ('swin_base_patch4_window12_384', dict(variant='B', window_size=12)),
    ('swin_large_patch4_window7_224', dict(variant='L', window_size=7)),
    ('swinv2_tiny_window8_256', dict(variant='V2-T', window_size=8)),
    ('swinv2_base_window16_256', dict(variant='V2-B', window_size=16)),
    (
      'swinv2_large_window12to24_192to384',
      dict(variant='V2-L', window_size=24, pretrained_window_sizes=(12, 12, 12, 6)),
    ),
  ],
)
def test_published_sizes_are_known(architecture, expected):
  with torch.device('meta'):
    module = timm.create_model(architecture)
  shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
  table = find_format('swin', 'timm')
  spec = table.spec(dict(architecture=architecture), shapes)
  assert spec == dict(
    name='swin', num_classes=module.num_classes, patch_size=4, norm_epsilon=1e-5, **expected
  )
  size = module.patch_embed.img_size
  config = table.config(spec, size)
  with torch.device('meta'):
    classes = config['num_classes']
    again = timm.create_model(config['architecture'], num_classes=classes, **config['model_args'])
  assert {k: tuple(v.shape) for k, v in again.state_dict().items()} == shapes


@pytest.mark.parametrize(
  ('architecture', 'window'), [('swin_tiny_patch4_window7_224', 4), ('swinv2_tiny_window8_256', 8)]
)
def test_there_and_back_with_timm(architecture, window, tmp_path):
  torch.manual_seed(0)
  options = TINY | dict(img_size=32, window_size=window, num_classes=5)
  module = timm.create_model(architecture, **options).eval()
  source = published.save_timm(tmp_path / 'timm', module)
  expected = published.logits(module, PICTURE)
  round_trips.check(source, expected, 'timm', PICTURE, tmp_path / 'ours')


@pytest.mark.parametrize('version', [1, 2])
def test_there_and_back_with_huggingface(version, tmp_path):
  torch.manual_seed(0)
  names = dict(enumerate(published.CLASSES))
  options = TINY | dict(image_size=32, window_size=4, id2label=names)
  if version == 1:
    module = SwinForImageClassification(SwinConfig(**options)).eval()
  else:
    config = Swinv2Config(**options, pretrained_window_sizes=[8, 3])
    module = Swinv2ForImageClassification(config).eval()
  source = tmp_path / 'huggingface'
  module.save_pretrained(source)
  ViTImageProcessor(size=dict(height=32, width=32)).save_pretrained(source)
  expected = published.logits(module, PICTURE)
  round_trips.check(source, expected, 'huggingface', PICTURE, tmp_path / 'ours')
  round_trips.check(source, expected, 'timm', PICTURE, tmp_path / 'timm')


def shapes_of(module: torch.nn.Module) -> dict:
  return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def test_what_nobody_says_is_asked_for():
  spec = find_format('swin', 'timm').spec
  with torch.device('meta'):
    shapes = shapes_of(timm.create_model('swinv2_tiny_window8_256'))
    mixed = shapes_of(timm.create_model('swin_s3_tiny_224'))
  with pytest.raises(UserError, match='do not say the side of their windows\nwrite it'):
    spec({}, shapes)
  assert spec(dict(model_args=dict(window_size=16)), shapes)['window_size'] == 16
  with pytest.raises(UserError, match=r'windows of \[7, 7, 14, 7\] is none that vitlab'):
    spec({}, mixed)
  with pytest.raises(UserError, match='no tensor of these weights is the position bias'):
    spec({}, {'norm.weight': (3,)})


@pytest.mark.parametrize(
  ('format', 'variant', 'size', 'fits'),
  [
    ('timm', 'mu', (64, 96), True),
    ('timm', 'mu', (40, 72), False),  # a map of 10 × 18: padded after the shift
    ('timm', 'mu', (32, 64), False),  # one side is a window: shifted along the other
    ('huggingface', 'mu', (40, 72), True),
    ('huggingface', 'mu', (16, 16), False),  # the last map is smaller than a window
    ('huggingface', 'V2-mu', (16, 16), True),
    ('huggingface', 'V2-mu', (16, 32), True),
    ('huggingface', 'V2-mu', (32, 16), False),  # they decide by the height
    ('huggingface', 'V2-mu', (34, 34), False),  # they expect a last map of 4 × 4, there are 5 × 5
    ('huggingface', 'V2-mu', (60, 60), True),  # 7 × 7 or 8 × 8: both are more than a window
    ('timm', 'mu', (66, 64), False),  # what is no whole patch they cut off
  ],
)
def test_image_sizes_on_which_they_compute_something_else_are_refused(format, variant, size, fits):
  config = find_format('swin', format).config
  spec = dict(name='swin', variant=variant, num_classes=5)
  if fits:
    assert config(spec, size)
  else:
    with pytest.raises(UserError, match='cannot say this image_size'):
      config(spec, size)
