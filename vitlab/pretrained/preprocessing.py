"""What is done to a picture before a published model sees it, and timm's words for it."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import logging

from vitlab.errors import UserError, unknown
from vitlab.ops.positions import Grid

# Of ImageNet's training pictures; and what brings [0, 1] to [-1, 1].
IMAGENET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
INCEPTION = dict(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
INTERPOLATIONS = ('nearest', 'bilinear', 'bicubic', 'box', 'hamming', 'lanczos')
FRACTION = 0.05, 1.0  # of a picture that may be cut out
TIMM = dict(crop_mode='center', crop_pct=0.875, interpolation='bicubic', **IMAGENET)  # by default
MODES = {'center': 'crop', 'squash': 'squash', 'border': 'pad'}


class Preprocessing(NamedTuple):
  """From a picture to what the model sees.

  Attributes:
    image_size: Pixels (height, width).
    resize, crop_fraction, interpolation, library, fill: See `vitlab.data.pictures.preprocess`.
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
  library: str = 'vitlab'
  fill: tuple[int, ...] = (0,)

  def image(self) -> dict[str, Any]:
    """The arguments of `vitlab.data.pictures.preprocess`, as they stand in a data set's facts."""
    names = ('image_size', 'channels', 'resize', 'crop_fraction', 'interpolation')
    names += ('library', 'fill')
    return {name: getattr(self, name) for name in names}

  def whole(self) -> Grid:
    """(height, width) of the picture that `image_size` is cut out of."""
    rounded = math.floor if self.library == 'timm' else round
    height, width = (rounded(side / self.crop_fraction) for side in self.image_size)
    return height, width

  def squashes(self) -> bool:
    """Whether a picture is brought to its size without any cut: all libraries do that alike."""
    return self.resize == 'squash' and self.whole() == self.image_size

  def cuts_alike(self) -> bool:
    """Whether timm and Hugging Face cut the same pixels out of every picture."""
    margins = [whole - side for whole, side in zip(self.whole(), self.image_size)]
    return self.resize == 'squash' and all(round(m / 2) == m // 2 for m in margins)

  def warn_unless_exact(self, library: str) -> None:
    """Says in one line that the library will prepare other pixels than the model has seen."""
    if self.squashes() or self.library != 'vitlab' and self.cuts_alike():
      return
    if self.library == library and (self.resize != 'pad' or self.fill == border(self.mean)):
      return
    logging.warning(
      f'{library} will show this model slightly other pictures than it was trained on: '
      f'resize={self.resize!r} of {self.library} cuts or pads by other pixels than {library}'
    )


def image_size_of(config: Mapping[str, Any]) -> Grid | None:
  """Pixels (height, width) that a model was trained on, if its config.json says so."""
  if 'image_size' in config:
    return _pair('image_size', config['image_size'])
  args, cfg = config.get('model_args') or {}, config.get('pretrained_cfg') or {}
  if args.get('img_size'):
    return _pair('model_args.img_size', args['img_size'])
  if cfg.get('input_size') is not None:
    return _input_size(cfg)[1]
  named = re.search(r'_(\d{3})(\.|$)', config.get('architecture', ''))
  return _pair('architecture', int(named[1])) if named else None


def from_timm(config: Mapping[str, Any], default: Preprocessing) -> Preprocessing:
  """By timm's config.json, in which `pretrained_cfg` or, in old ones, the file itself says it.

  Args:
    config: The file.
    default: Its size and channels, where the file does not say them; the rest is timm's.

  Raises:
    UserError: a word of another type than timm's, or one that vitlab does not do; names it.
  """
  cfg = config.get('pretrained_cfg', config)
  if not isinstance(cfg, Mapping):
    raise UserError(f'config.json: pretrained_cfg={cfg!r}: expected the words of timm in braces')
  args = config.get('model_args') or {}
  channels, size = default.channels, default.image_size
  if cfg.get('input_size') is not None:
    channels, size = _input_size(cfg)
  if args.get('img_size') and cfg.get('fixed_input_size'):
    size = _pair('model_args.img_size', args['img_size'])
  cfg = TIMM | {key: value for key, value in cfg.items() if value}
  for key, known in dict(crop_mode=MODES, interpolation=INTERPOLATIONS).items():
    if cfg[key] not in list(known):
      raise unknown(f'{key} in config.json:', str(cfg[key]), known)
  mean, std = (check_numbers(f'config.json: {key}', cfg[key], (1, 3)) for key in ('mean', 'std'))
  if not all(std):
    raise UserError(f'config.json: std={cfg["std"]!r}: expected no zero')
  channels = args.get('in_chans') or channels
  fill = (0,)
  if cfg['crop_mode'] == 'border' and len(mean) in (1, channels):  # else the task refuses the mean
    fill = border(mean)
    if not all(0 <= value <= 255 for value in fill):
      raise UserError(f'config.json: mean={cfg["mean"]!r}: expected a colour, 0 to 1')
  return Preprocessing(
    image_size=size,
    resize=MODES[cfg['crop_mode']],
    crop_fraction=check_number('config.json: crop_pct', cfg['crop_pct'], FRACTION),
    interpolation=cfg['interpolation'],
    mean=mean,
    std=std,
    channels=channels,
    library='timm',
    fill=fill,
  )


def to_timm(ours: Preprocessing) -> dict[str, Any]:
  """timm's `pretrained_cfg`."""
  ours.warn_unless_exact('timm')
  return dict(
    input_size=[ours.channels, *ours.image_size],
    crop_mode={ours: theirs for theirs, ours in MODES.items()}[ours.resize],
    crop_pct=_crop_pct(ours),
    interpolation=ours.interpolation,
    mean=list(per_channel(ours.mean, ours.channels)),
    std=list(per_channel(ours.std, ours.channels)),
  )


def border(mean: Sequence[float]) -> tuple[int, ...]:
  """The colour that timm puts around a picture."""
  return tuple(round(255 * value) for value in mean)


def per_channel(values: Sequence[float], channels: int) -> Sequence[float]:
  """One value for each channel, where there may be one for all."""
  return tuple(values) * (channels if len(values) == 1 else 1)


def check_number(where: str, value: Any, range: tuple[float, float] = (0, math.inf)) -> float:
  """A number above 0 and in a range, or a UserError that names where it stands."""
  least, most = range
  if not _finite(value) or value <= 0 or not least <= value <= most:
    raise UserError(f'{where}={value!r}: expected a number above {least:g} and up to {most:g}')
  return float(value)


def check_numbers(where: str, value: Any, lengths: Sequence[int]) -> tuple[float, ...]:
  """One number for all channels or one for each, or a UserError that names where it stands.

  Args:
    where: The file and its word.
    value: A number, or a list of numbers.
    lengths: How many the list may have.
  """
  listed = isinstance(value, list | tuple)
  values = value if listed else (value,)
  if listed and len(values) not in lengths or not all(map(_finite, values)):
    many = ' or '.join(map(str, sorted(set(lengths))))
    raise UserError(f'{where}={value!r}: expected a number, or a list of {many}')
  return tuple(map(float, values))


def _crop_pct(ours: Preprocessing) -> float:
  """The part whose quotient timm rounds down to the size that is cut from."""
  if ours.library != 'huggingface':
    return ours.crop_fraction
  part = min(side / whole for side, whole in zip(ours.image_size, ours.whole()))
  exact = ours._replace(library='timm', crop_fraction=part).whole() == ours.whole()
  return part if exact else math.nextafter(part, 0)


def _input_size(cfg: Mapping[str, Any]) -> tuple[int, Grid]:
  """Channels, and pixels (height, width), of timm's `input_size`."""
  size = cfg['input_size']
  if not isinstance(size, list | tuple) or len(size) != 3 or not _positive(*size):
    raise UserError(f'config.json: input_size={size!r}: expected [channels, height, width]')
  return size[0], (size[1], size[2])


def _pair(key: str, size: Any) -> Grid:
  sides = size if isinstance(size, list | tuple) else (size, size)
  if len(sides) != 2 or not _positive(*sides):
    raise UserError(f'config.json: {key}={size!r}: expected a positive number or [height, width]')
  return sides[0], sides[1]


def _finite(value: Any) -> bool:
  return type(value) in (int, float) and math.isfinite(value)


def _positive(*sides: Any) -> bool:
  return all(type(side) is int and side > 0 for side in sides)
