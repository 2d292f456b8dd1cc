"""Hugging Face's image processors: preprocessor_config.json <-> ours.

What a file does not say is the default of the class that it names. The numbers are those of the
slow processors; the fast ones resize with torch, a grey level away.
"""

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from absl import logging

from vitlab.errors import UserError, unknown
from vitlab.ops.positions import Grid
from vitlab.pretrained import preprocessing
from vitlab.pretrained.preprocessing import FRACTION, IMAGENET, INCEPTION, Preprocessing

FILE = 'preprocessor_config.json'
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PILLOW = {0: 'nearest', 1: 'lanczos', 2: 'bilinear', 3: 'bicubic', 4: 'box', 5: 'hamming'}
TIMM = 'TimmWrapperImageProcessor'  # prepares by timm's own code, which has to be installed


# What a class does where its file is silent, in its own words: it knows no others.
VIT = dict(size=dict(height=224, width=224), resample=2, do_resize=True, do_pad=False)
VIT |= dict(do_rescale=True, rescale_factor=1 / 255, do_normalize=True)
VIT |= dict(image_mean=INCEPTION['mean'], image_std=INCEPTION['std'])
CROPS = VIT | dict(resample=3, do_center_crop=True, crop_size=dict(height=224, width=224))
CLIP = CROPS | dict(size=dict(shortest_edge=224), image_mean=CLIP_MEAN, image_std=CLIP_STD)
DETR = VIT | dict(size=dict(shortest_edge=800, longest_edge=1333), do_pad=True)
DETR |= dict(image_mean=IMAGENET['mean'], image_std=IMAGENET['std'])
DEFAULTS = {
  'DetrImageProcessor': DETR,
  'ViTImageProcessor': VIT,
  'DeiTImageProcessor': CROPS | dict(size=dict(height=256, width=256)),
  'ConvNextImageProcessor': VIT | dict(size=dict(shortest_edge=384), crop_pct=0.875),
  'BitImageProcessor': CLIP,
  'CLIPImageProcessor': CLIP,
}
# In whose place null is the default; a null flag is not true, and others are refused.
MAY_BE_NULL = ('size', 'crop_size', 'crop_pct', 'image_mean', 'image_std')
EDGE, SIDES = {'shortest_edge'}, {'height', 'width'}  # the forms of a size
FITTED = {'shortest_edge', 'longest_edge'}
MODELS = dict(detr='Detr', vit='ViT', swin='ViT', swinv2='ViT', deit='DeiT', resnet='ConvNext')
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
  given = {k: v for k, v in config.items() if not (v is None and k in MAY_BE_NULL)}
  words = ChainMap(given, DEFAULTS[name])
  if not _true(words, 'do_resize'):
    raise _wrong('do_resize', config['do_resize'], 'true: pictures have one size here')
  if 'longest_edge' in DEFAULTS[name]['size']:
    return _fitted(words, default)
  if _true(words, 'do_pad'):
    raise _wrong('do_pad', config['do_pad'], 'false: vitlab does not pad as Hugging Face does')
  whole, cut, resize = _sizes(words, name)
  fraction = cut[0] / whole[0]
  if fraction > 1 or [round(side / fraction) for side in cut] != list(whole):
    raise _wrong(
      'crop_size', config.get('crop_size'), f'the shape of size, {whole[0]} × {whole[1]}, or a part'
    )
  resample = _resample(words)
  mean, std = _normalisation(words, default.channels)
  return Preprocessing(cut, resize, fraction, resample, mean, std, default.channels, 'huggingface')


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
  if ours.resize != 'fit':
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
  if ours.resize == 'fit':
    size = dict(shortest_edge=min(cut), longest_edge=max(cut))
    return common | dict(image_processor_type='DetrImageProcessor', size=size, do_pad=True)
  if ours.squashes():
    kind = dict(image_processor_type='ViTImageProcessor', size=dict(height=height, width=width))
    return common | kind
  crop = dict(do_center_crop=True, crop_size=dict(height=height, width=width))
  if ours.resize == 'squash':
    size = dict(height=whole[0], width=whole[1])
    return common | crop | dict(image_processor_type='DeiTImageProcessor', size=size)
  size = dict(shortest_edge=whole[0])
  return common | crop | dict(image_processor_type='CLIPImageProcessor', size=size)


def _fitted(words: ChainMap[str, Any], default: Preprocessing) -> Preprocessing:
  """As DETR's: into (short, long), its aspect kept, and padded; a pixel of rounding is ours."""
  size, longest = words['size'], words.get('max_size', DETR['size']['longest_edge'])
  if isinstance(size, int):  # in files of version 4.25 and before
    size = dict(shortest_edge=size, longest_edge=longest)
  size = _size(ChainMap(dict(size=size)), 'size', FITTED, [FITTED])
  mean, std = _normalisation(words, default.channels)
  sides = size['shortest_edge'], size['longest_edge']
  how = dict(interpolation=_resample(words), mean=mean, std=std, library='vitlab')
  return default._replace(image_size=sides, resize='fit', crop_fraction=1.0, **how)


def _resample(words: ChainMap[str, Any]) -> str:
  resample = words['resample']
  if type(resample) is not int or resample not in PILLOW:
    raise _wrong('resample', resample, f'a number of Pillow, {min(PILLOW)} to {max(PILLOW)}')
  return PILLOW[resample]


def _true(words: Mapping[str, Any], key: str) -> bool:
  value = words.get(key)
  if value is not None and not isinstance(value, bool):
    raise _wrong(key, value, 'true or false')
  return bool(value)  # the classes keep null, and it is not true


def _sizes(words: ChainMap[str, Any], name: str) -> tuple[Grid, Grid, str]:
  """The size that a picture is brought to, what is cut out of it, and 'squash' or 'crop'."""
  given, usual = words.maps
  number = EDGE if 'shortest_edge' in usual['size'] else SIDES
  forms = [EDGE, SIDES] if number == EDGE and 'crop_size' in usual else [number]
  size = _size(words, 'size', number, forms)
  edge = size.get('shortest_edge')
  whole = (edge, edge) if edge else (size['height'], size['width'])
  crops = _true(words, 'do_center_crop')
  if crops and 'crop_size' not in usual:
    raise _wrong('do_center_crop', True, f'false: slow and fast {name} disagree about it')
  if 'crop_pct' in usual:  # enlarges first, up to a size
    pct = preprocessing.check_number(f'{FILE}: crop_pct', words['crop_pct'], FRACTION)
    return (whole, whole, 'squash') if edge >= 384 else ((int(edge / pct),) * 2, whole, 'crop')
  if 'crop_size' in usual:
    crop = _size(words, 'crop_size', SIDES, [SIDES])
    if crops:
      return whole, (crop['height'], crop['width']), 'crop' if edge else 'squash'
  if edge:
    raise _wrong('size', given.get('size'), 'do_center_crop, or pictures differ in size')
  return whole, whole, 'squash'


def _size(
  words: Mapping[str, Any], key: str, number: set[str], forms: list[set[str]]
) -> Mapping[str, int]:
  """A size in one of the forms in which it may stand in a file; a number has that of `number`."""
  size = words[key]
  if isinstance(size, int):
    size = dict.fromkeys(number, size)
  if isinstance(size, list) and len(size) == 2:
    size = dict(height=size[0], width=size[1])
  if (
    not isinstance(size, Mapping)
    or set(size) not in forms
    or not all(type(side) is int and side > 0 for side in size.values())
  ):
    expected = ' or '.join(' and '.join(sorted(form)) for form in forms)
    raise _wrong(key, words[key], f'positive {expected}')
  return size


def _normalisation(
  words: Mapping[str, Any], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Mean and std of pixels in [0, 1], in which another factor than 1/255 is contained."""
  mean, std = (0.0,), (1.0,)
  if _true(words, 'do_normalize'):
    mean, std = (
      preprocessing.check_numbers(f'{FILE}: {key}', words[key], (3, channels))
      for key in ('image_mean', 'image_std')
    )
  if not all(std):
    raise _wrong('image_std', words['image_std'], 'no zero')
  factor = 1.0
  if _true(words, 'do_rescale'):
    factor = preprocessing.check_number(f'{FILE}: rescale_factor', words['rescale_factor'])
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
      raise _wrong('image_processor_type', None, f'one of {", ".join(DEFAULTS)}')
    name = f'{MODELS[model_type]}ImageProcessor'
  slow = name.removesuffix('Fast')
  if slow not in (*DEFAULTS, TIMM):
    raise unknown(f'image_processor_type in {FILE}', name, (*DEFAULTS, TIMM))
  return slow


def _wrong(key: str, value: Any, expected: str) -> UserError:
  return UserError(f'{FILE}: {key}={value!r}: expected {expected}')
