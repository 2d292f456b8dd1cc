"""What is done to a picture before a published model sees it: their files <-> ours."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vitlab.errors import UserError
from vitlab.ops.positions import Grid

# Of ImageNet's training pictures; and what brings [0, 1] to [-1, 1].
IMAGENET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
INCEPTION = dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
PILLOW = {0: 'nearest', 1: 'lanczos', 2: 'bilinear', 3: 'bicubic', 4: 'box', 5: 'hamming'}


class Preprocessing(NamedTuple):
  """From a picture to what the model sees.

  Attributes:
    image_size: Pixels (height, width).
    resize, crop_fraction, interpolation: See `vitlab.data._images.preprocess`.
    mean, std: Of the pixels in [0, 1], by channel.
    channels: 3 or 1.
  """

  image_size: Grid = (224, 224)
  resize: str = 'crop'
  crop_fraction: float = 0.875
  interpolation: str = 'bicubic'
  mean: tuple[float, ...] = IMAGENET['mean']
  std: tuple[float, ...] = IMAGENET['std']
  channels: int = 3

  def image(self) -> dict[str, Any]:
    """The arguments of `vitlab.data._images.preprocess`, as they stand in a data set's facts."""
    names = ('image_size', 'channels', 'resize', 'crop_fraction', 'interpolation')
    return {name: getattr(self, name) for name in names}


def image_size_of(config: Mapping[str, Any]) -> Grid | None:
  """Pixels (height, width) that a model was trained on, if its config.json says so."""
  if 'image_size' in config:
    return _pair(config['image_size'])
  args, cfg = config.get('model_args') or {}, config.get('pretrained_cfg') or {}
  if args.get('img_size'):
    return _pair(args['img_size'])
  if cfg.get('input_size'):
    return _pair(cfg['input_size'][1:])
  named = re.search(r'_(\d{3})(\.|$)', config.get('architecture', ''))
  return _pair(int(named[1])) if named else None


def from_timm(cfg: Mapping[str, Any], default: Preprocessing) -> Preprocessing:
  """By timm's `pretrained_cfg`; what it does not say is the default's."""
  channels, *size = cfg.get('input_size') or (default.channels, *default.image_size)
  modes = {'center': 'crop', 'squash': 'squash', 'border': 'pad'}
  return Preprocessing(
    image_size=_pair(size),
    resize=modes.get(cfg.get('crop_mode') or 'center', 'crop'),
    crop_fraction=cfg.get('crop_pct') or default.crop_fraction,
    interpolation=cfg.get('interpolation') or default.interpolation,
    mean=tuple(cfg.get('mean') or default.mean),
    std=tuple(cfg.get('std') or default.std),
    channels=channels,
  )


def to_timm(ours: Preprocessing) -> dict[str, Any]:
  """timm's `pretrained_cfg`."""
  return dict(
    input_size=[ours.channels, *ours.image_size],
    crop_mode={'crop': 'center', 'squash': 'squash', 'pad': 'border'}[ours.resize],
    crop_pct=ours.crop_fraction,
    interpolation=ours.interpolation,
    mean=list(_per_channel(ours.mean, ours.channels)),
    std=list(_per_channel(ours.std, ours.channels)),
  )


def from_huggingface(config: Mapping[str, Any], default: Preprocessing) -> Preprocessing:
  """By preprocessor_config.json: to a size as it is, or its centre cut out of a larger one."""
  if not config:
    return default
  if config.get('do_rescale') is False or config.get('rescale_factor', 1 / 255) != 1 / 255:
    raise UserError('preprocessor_config.json rescales pixels otherwise than by 1/255: not known')
  mean, std = tuple(config['image_mean']), tuple(config['image_std'])
  if config.get('do_normalize') is False:
    mean, std = (0.0,) * len(mean), (1.0,) * len(std)
  size = config.get('size', default.image_size)
  size = size if isinstance(size, Mapping) else dict(zip(('height', 'width'), _pair(size)))
  if 'shortest_edge' in size:
    whole, resize = _pair(size['shortest_edge']), 'crop'
  else:
    whole, resize = (size['height'], size['width']), 'squash'
  cut, fraction = whole, 1.0
  if 'crop_pct' in config:  # ConvNextImageProcessor enlarges first, up to its largest size
    fraction = config['crop_pct'] if min(whole) < 384 else 1.0
    resize = 'crop' if min(whole) < 384 else 'squash'
  elif config.get('do_center_crop'):
    crop = config.get('crop_size', whole)
    cut = (crop['height'], crop['width']) if isinstance(crop, Mapping) else _pair(crop)
    fraction = max(c / w for c, w in zip(cut, whole))
  interpolation = PILLOW.get(config.get('resample', 2), 'bilinear')
  return Preprocessing(tuple(cut), resize, fraction, interpolation, mean, std)


def to_huggingface(ours: Preprocessing) -> dict[str, Any]:
  """The preprocessor_config.json of an image processor that does the same.

  Raises:
    UserError: Hugging Face has no processor that pads, or that cuts out other than squares.
  """
  if ours.resize == 'pad':
    raise UserError("Hugging Face's image processors do not pad: export to timm instead")
  height, width = ours.image_size
  common = dict(
    do_resize=True,
    do_rescale=True,
    rescale_factor=1 / 255,
    do_normalize=True,
    image_mean=list(_per_channel(ours.mean, ours.channels)),
    image_std=list(_per_channel(ours.std, ours.channels)),
    resample={name: number for number, name in PILLOW.items()}[ours.interpolation],
  )
  if ours.resize == 'squash' and ours.crop_fraction == 1:
    kind = dict(image_processor_type='ViTImageProcessor', size=dict(height=height, width=width))
    return common | kind
  whole = [round(side / ours.crop_fraction) for side in (height, width)]
  cut = dict(do_center_crop=True, crop_size=dict(height=height, width=width))
  if ours.resize == 'squash':
    size = dict(height=whole[0], width=whole[1])
    return common | cut | dict(image_processor_type='DeiTImageProcessor', size=size)
  if height != width:
    raise UserError("Hugging Face's image processors crop squares: use resize='squash', or timm")
  size = dict(shortest_edge=whole[0])
  return common | cut | dict(image_processor_type='CLIPImageProcessor', size=size)


def _pair(size: int | Sequence[int]) -> Grid:
  return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _per_channel(values: Sequence[float], channels: int) -> Sequence[float]:
  return tuple(values) * (channels if len(values) == 1 else 1)
