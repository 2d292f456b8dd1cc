"""Hugging Face's image processors: preprocessor_config.json <-> ours.

What a file does not say is the default of the class that it names. The numbers are those of the
slow processors; the fast ones resize with torch, a grey level away.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import logging

from vitlab.errors import UserError, unknown
from vitlab.ops.positions import Grid
from vitlab.pretrained import preprocessing
from vitlab.pretrained.preprocessing import FRACTION, INCEPTION, Preprocessing

FILE = 'preprocessor_config.json'
CLIP = dict(mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711))
PILLOW = {0: 'nearest', 1: 'lanczos', 2: 'bilinear', 3: 'bicubic', 4: 'box', 5: 'hamming'}
TIMM = 'TimmWrapperImageProcessor'  # prepares by timm's own code, which has to be installed


class Kind(NamedTuple):
  """What a class of processors does by default, and which words it knows.

  Attributes:
    size: 'height' and 'width', or 'shortest_edge'.
    edge: Whether a size that is one number is the shortest edge.
    sizes: The forms of a size that it takes, by their first key.
    resample: Pillow's number of a filter.
    crop: Whether it knows do_center_crop, by default true, and crop_size, by default 224.
    crop_pct: Its default, or None: a word it does not know.
    mean, std: Of the pixels in [0, 1].
  """

  size: Mapping[str, int]
  edge: bool = False
  sizes: tuple[str, ...] = ('height',)
  resample: int = 2
  crop: bool = False
  crop_pct: float | None = None
  mean: tuple[float, ...] = INCEPTION['mean']
  std: tuple[float, ...] = INCEPTION['std']


_CLIP = Kind(dict(shortest_edge=224), True, ('shortest_edge', 'height'), 3, True, None, **CLIP)
KINDS = {
  'ViTImageProcessor': Kind(dict(height=224, width=224)),
  'DeiTImageProcessor': Kind(dict(height=256, width=256), resample=3, crop=True),
  'ConvNextImageProcessor': Kind(dict(shortest_edge=384), True, ('shortest_edge',), crop_pct=0.875),
  'BitImageProcessor': _CLIP,
  'CLIPImageProcessor': _CLIP,
}
MODELS = dict(vit='ViT', swin='ViT', swinv2='ViT', deit='DeiT', resnet='ConvNext')
MODELS |= dict(dinov2='Bit', dinov2_with_registers='Bit')


def from_huggingface(
  config: Mapping[str, Any], default: Preprocessing, model_type: str = ''
) -> Preprocessing:
  """By preprocessor_config.json: to a size as it is, or its centre cut out of a larger one.

  Args:
    config: The file; {}: there is none.
    default: What is done then; its channels are the model's.
    model_type: Of config.json; it decides the class where the file names none.

  Raises:
    UserError: a word that its class refuses, or that vitlab does not do; names it.
  """
  if not config:
    return default
  name = _class(config, model_type)
  if name == TIMM:
    return preprocessing.from_timm(dict(pretrained_cfg=config.get('pretrained_cfg')), default)
  words = _Words(config, KINDS[name])
  if not words.true('do_resize', True):
    raise _wrong('do_resize', config['do_resize'], 'true: pictures have one size here')
  if words.true('do_pad', False):
    raise _wrong('do_pad', config['do_pad'], 'false: vitlab does not pad as Hugging Face does')
  whole, cut, resize = words.sizes(name)
  fraction = cut[0] / whole[0]
  if fraction > 1 or [round(side / fraction) for side in cut] != list(whole):
    raise _wrong(
      'crop_size', config.get('crop_size'), f'the shape of size, {whole[0]} × {whole[1]}, or a part'
    )
  resample = config.get('resample', KINDS[name].resample)
  if type(resample) is not int or resample not in PILLOW:
    raise _wrong('resample', resample, f'a number of Pillow, {min(PILLOW)} to {max(PILLOW)}')
  mean, std = words.normalisation(default.channels)
  return Preprocessing(
    cut, resize, fraction, PILLOW[resample], mean, std, default.channels, 'huggingface'
  )


def to_huggingface(ours: Preprocessing) -> dict[str, Any]:
  """The preprocessor_config.json of an image processor that does the same.

  Pictures that timm cuts or pads are prepared there by timm, as no processor of Hugging Face does.

  Raises:
    UserError: Hugging Face has no processor that pads, or that cuts out other than squares.
  """
  whole, cut = ours.whole(), ours.image_size
  if ours.library == 'timm' and not ours.cuts_alike():
    logging.warning(
      'transformers will prepare these pictures by timm, which it has to find installed'
    )
    return dict(image_processor_type=TIMM, pretrained_cfg=preprocessing.to_timm(ours))
  if ours.resize == 'pad':
    raise UserError("Hugging Face's image processors do not pad: export to timm instead")
  if ours.resize == 'crop' and cut[0] != cut[1]:
    raise UserError("Hugging Face's image processors crop squares: use resize='squash', or timm")
  ours.warn_unless_exact('huggingface')
  height, width = cut
  common = dict(
    do_resize=True,
    do_rescale=True,
    rescale_factor=1 / 255,
    do_normalize=True,
    image_mean=list(preprocessing.per_channel(ours.mean, ours.channels)),
    image_std=list(preprocessing.per_channel(ours.std, ours.channels)),
    resample={name: number for number, name in PILLOW.items()}[ours.interpolation],
  )
  if ours.squashes():
    kind = dict(image_processor_type='ViTImageProcessor', size=dict(height=height, width=width))
    return common | kind
  crop = dict(do_center_crop=True, crop_size=dict(height=height, width=width))
  if ours.resize == 'squash':
    size = dict(height=whole[0], width=whole[1])
    return common | crop | dict(image_processor_type='DeiTImageProcessor', size=size)
  size = dict(shortest_edge=whole[0])
  return common | crop | dict(image_processor_type='CLIPImageProcessor', size=size)


class _Words(NamedTuple):
  """The words of a file, with the defaults and the refusals of its class."""

  config: Mapping[str, Any]
  kind: Kind

  def true(self, key: str, default: bool) -> bool:
    value = self.config.get(key, default)
    if value is not None and not isinstance(value, bool):
      raise _wrong(key, value, 'true or false')
    return bool(value)  # the classes keep null, and it is not true

  def sizes(self, name: str) -> tuple[Grid, Grid, str]:
    """The size that a picture is brought to, what is cut out of it, and 'squash' or 'crop'."""
    size = self.size('size', self.kind.size, self.kind.edge, self.kind.sizes)
    edge = size.get('shortest_edge')
    whole = (edge, edge) if edge else (size['height'], size['width'])
    crops = self.true('do_center_crop', self.kind.crop)
    if crops and not self.kind.crop:
      raise _wrong('do_center_crop', True, f'false: slow and fast {name} disagree about it')
    if self.kind.crop_pct is not None:  # enlarges first, up to a size
      pct = self.config.get('crop_pct')
      pct = preprocessing.check_number(
        f'{FILE}: crop_pct', self.kind.crop_pct if pct is None else pct, FRACTION
      )
      return (whole, whole, 'squash') if edge >= 384 else ((int(edge / pct),) * 2, whole, 'crop')
    if self.kind.crop:
      crop = self.size('crop_size', dict(height=224, width=224), False, ('height',))
      if crops:
        cut = crop['height'], crop['width']
        return whole, cut, 'crop' if edge else 'squash'
    if edge:
      raise _wrong('size', self.config.get('size'), 'do_center_crop, or pictures differ in size')
    return whole, whole, 'squash'

  def size(
    self, key: str, default: Mapping[str, int], edge: bool, forms: tuple[str, ...]
  ) -> Mapping[str, int]:
    """A size in one of the forms in which it may stand in a file."""
    given = size = self.config.get(key)
    if size is None:
      size = default
    if isinstance(size, int):
      size = dict(shortest_edge=size) if edge else dict(height=size, width=size)
    if isinstance(size, list) and len(size) == 2:
      size = dict(height=size[0], width=size[1])
    keys = dict(height={'height', 'width'}, shortest_edge={'shortest_edge'})
    if (
      not isinstance(size, Mapping)
      or set(size) not in [keys[form] for form in forms]
      or not all(type(side) is int and side > 0 for side in size.values())
    ):
      expected = ' or '.join(' and '.join(sorted(keys[form])) for form in forms)
      raise _wrong(key, given, f'positive {expected}')
    return size

  def normalisation(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of pixels in [0, 1], in which another factor than 1/255 is contained."""
    mean, std = (0.0,), (1.0,)
    if self.true('do_normalize', True):
      mean, std = (
        preprocessing.check_numbers(
          f'{FILE}: {key}', default if value is None else value, (3, channels)
        )
        for key, default, value in (
          ('image_mean', self.kind.mean, self.config.get('image_mean')),
          ('image_std', self.kind.std, self.config.get('image_std')),
        )
      )
    if not all(std):
      raise _wrong('image_std', self.config.get('image_std'), 'no zero')
    factor = 1.0
    if self.true('do_rescale', True):
      factor = preprocessing.check_number(
        f'{FILE}: rescale_factor', self.config.get('rescale_factor', 1 / 255)
      )
    scale = 255 * factor
    if abs(scale - 1) > 1e-6:  # 1/255 is written in many ways, in single precision too
      mean, std = (tuple(value / scale for value in values) for values in (mean, std))
    return mean, std


def _class(config: Mapping[str, Any], model_type: str) -> str:
  """The slow class that the file names, or the fast one of it, or that of the model."""
  for key in ('image_processor_type', 'feature_extractor_type'):
    if config.get(key) is not None:
      if not isinstance(config[key], str):
        raise _wrong(key, config[key], 'the name of a class')
      name = config[key].replace('FeatureExtractor', 'ImageProcessor')
      break
  else:
    if model_type not in MODELS:
      raise _wrong('image_processor_type', None, f'one of {", ".join(KINDS)}')
    name = f'{MODELS[model_type]}ImageProcessor'
  slow = name.removesuffix('Fast')
  if slow not in (*KINDS, TIMM):
    raise unknown(f'image_processor_type in {FILE}', name, (*KINDS, TIMM))
  return slow


def _wrong(key: str, value: Any, expected: str) -> UserError:
  return UserError(f'{FILE}: {key}={value!r}: expected {expected}')
