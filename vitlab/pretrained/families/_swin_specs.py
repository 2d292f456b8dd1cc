"""What a published Swin Transformer computes, from its config.json and its shapes; and back."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vitlab.errors import UserError
from vitlab.models.swin import VARIANTS, Size
from vitlab.ops.positions import Grid
from vitlab.ops.windows import window_and_shift
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import PartOf, Shapes, Sides
from vitlab.pretrained.layouts import Shape
from vitlab.pretrained.preprocessing import image_size_of
from vitlab.pretrained.tables import Seen

NORM_EPSILON = 1e-5
# Our word -> the key of timm and Hugging Face.
ARGUMENTS = dict(
  width='embed_dim',
  depths='depths',
  num_heads='num_heads',
  window_size='window_size',
  mlp_ratio='mlp_ratio',
  patch_size='patch_size',
)
TIMM_KEYS = keys.timm(
  f'{" ".join(ARGUMENTS.values())} pretrained_window_sizes',
  only=dict(
    global_pool=('avg',),
    qkv_bias=(True,),
    head_dim=(None,),
    always_partition=(False,),
    act_layer=('gelu',),
  ),
  training='strict_img_size dynamic_img_size',
)
HUGGINGFACE_KEYS = keys.huggingface(
  'swinv2',
  only=dict(
    hidden_act=('gelu',),
    layer_norm_eps=(NORM_EPSILON,),  # they use it in some of their norms only
    qkv_bias=(True,),
    use_absolute_embeddings=(False,),
  ),
  training=keys.TRAINING,
  why=keys.BACKBONE | {'follows from depths or embed_dim': 'num_layers hidden_size'},
)


def from_any(
  whose: str,
  part_of: Callable[[Sides], PartOf],
  config: Mapping[str, Any],
  shapes: Shapes,
) -> dict[str, Any]:
  """Our model of theirs: sizes by the tensors, and by the config what no tensor says.

  Args:
    whose: 'timm', 'huggingface' or 'microsoft'.
    part_of: Their names, `Format.part_of`.
    config: Their config.json.
    shapes: Name -> shape of their tensors.

  Raises:
    UserError: windows of unequal sides or other ones than ours on the images of the config, stages
      with mlps of different ratios, or of version 2 nothing says the sides of the windows.
  """
  seen = Seen(part_of, shapes)
  depths = seen.depths('stage_{}/block_{}/norm1/scale')

  def stages(path: str) -> list[Shape]:
    """The shape of a tensor of the first block of every stage."""
    found = [seen.get(f'stage_{i}/block_0/{path}') for i in range(len(depths))]
    return [shape for shape in found if shape]

  tables = stages('attention/position_bias/table')
  heads = [table[1] for table in tables] or [s[0] for s in stages('attention/logit_scale')]
  if not heads:
    raise UserError('no tensor of these weights is the position bias or the logit scale of a Swin')
  mlps = stages('mlp/up/kernel')
  hidden, width = mlps[0]
  if any(mlp[0] * width != mlp[1] * hidden for mlp in mlps):
    raise UserError(
      'a Swin whose mlp_ratio differs from stage to stage is none that vitlab computes'
    )
  window, pretrained = _windows(config, tables)
  patch = seen['patch_embed/kernel'][-1]
  wanted = Size(width, depths, tuple(heads), window, 1 if tables else 2)
  spec = dict(name='swin', num_classes=seen.get('head/kernel', (None,))[0], **_sizes(wanted))
  spec |= dict(patch_size=patch, norm_epsilon=NORM_EPSILON)
  image_size = image_size_of(config)
  if image_size and not _same_windows(whose, wanted, patch, image_size, tables):
    word = 'img_size' if whose == 'timm' else 'image_size'
    raise UserError(
      f'{whose} cuts {word}={image_size} with patch_size={patch} and window_size={window} into '
      f'other windows than vitlab\ntake weights for images whose maps are whole windows'
    )
  if hidden != 4 * width:
    spec['mlp_ratio'] = hidden / width
  return spec | (dict(pretrained_window_sizes=pretrained) if any(pretrained) else {})


def to_timm(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """timm's config.json: the nearest architecture and every argument in which ours may differ.

  Raises:
    UserError: timm has no such Swin, or computes another on images of this size.
  """
  words, size, args = _arguments('timm', spec, image_size)
  kind = {128: 'base', 192: 'large'}.get(size.width, 'small' if 18 in size.depths else 'tiny')
  window_of_name = 12 if kind == 'large' else 8
  names = {
    1: f'swin_{kind}_patch4_window7_224',
    2: f'swinv2_{kind}_window{window_of_name}_{192 if kind == "large" else 256}',
  }
  return dict(
    architecture=names[size.version],
    num_classes=words['num_classes'] or 0,
    num_features=size.width * 2 ** (len(size.depths) - 1),
    global_pool='avg',
    model_args=dict(img_size=list(image_size), **args),
  )


def to_huggingface(spec: Mapping[str, Any], image_size: Grid) -> dict[str, Any]:
  """The config.json of SwinForImageClassification or Swinv2ForImageClassification.

  Raises:
    UserError: it fails or computes another thing on images of this size.
  """
  words, size, args = _arguments('huggingface', spec, image_size)
  kind = 'Swin' if size.version == 1 else 'Swinv2'
  return dict(
    architectures=[kind + ('ForImageClassification' if words['num_classes'] else 'Model')],
    model_type=kind.lower(),
    image_size=specs.short(image_size),
    hidden_act='gelu',
    layer_norm_eps=NORM_EPSILON,
    **args,
  )


def _arguments(
  whose: str, spec: Mapping[str, Any], image_size: Grid
) -> tuple[dict[str, Any], Size, dict[str, Any]]:
  """All words of a spec, its size, and the arguments that timm and Hugging Face call alike."""
  words = specs.all_words(spec, VARIANTS)
  size = Size(*(words[field] for field in Size._fields))
  specs.refuse(
    {'huggingface': 'Hugging Face'}.get(whose, whose),
    norm_epsilon=words['norm_epsilon'] != NORM_EPSILON,
    image_size=not _same_windows(whose, size, words['patch_size'], image_size),
  )
  args = specs.said(words, ARGUMENTS)
  if words['pretrained_window_sizes']:
    args['pretrained_window_sizes'] = list(words['pretrained_window_sizes'])
  return words, size, args


def _windows(config: Mapping[str, Any], tables: list[Shape]) -> tuple[int, tuple[int, ...]]:
  """The side of the windows, and those of version 2 in pretraining, a stage each."""
  if tables:
    sides = [_side(table) for table in tables]
    if sides != sorted(sides, reverse=True):
      raise UserError(
        f'a Swin with windows of {sides} is none that vitlab computes: choose another'
      )
    return sides[0], ()
  words = {**config, **(config.get('model_args') or {})}
  # swinv2_base_window12to16_192to256: fine-tuned with larger windows than it was pretrained with.
  name = re.search(r'_window(?:(\d+)to)?(\d+)(?:_(\d+)to)?', config.get('architecture', ''))
  window = words.get('window_size') or (name and int(name[2]))
  if not isinstance(window, int):
    raise UserError(
      'Swin v2 weights do not say the side of their windows'
      "\nwrite it into their config.json: {'model_args': {'window_size': ...}}"
    )
  if 'pretrained_window_sizes' in words:
    return window, tuple(map(int, words['pretrained_window_sizes']))
  if name and name[1] and name[3]:
    return window, tuple(min(int(name[1]), int(name[3]) // 4 // 2**i) for i in range(4))
  return window, ()


def _sizes(wanted: Size) -> dict[str, Any]:
  """The words of a size: a variant and the side of its windows, and what it does not say."""
  known = {
    name: size._replace(window_size=wanted.window_size)
    for name, size in VARIANTS.items()
    if size.version == wanted.version
  }
  words = specs.size_words(wanted._asdict(), known, {1: 'mu', 2: 'V2-mu'}[wanted.version])
  words.pop('version', None)  # a variant's
  return words | dict(window_size=wanted.window_size)


def _same_windows(
  whose: str, size: Size, patch: int, image_size: Grid, tables: Sequence[Shape] = ()
) -> bool:
  """Whether theirs and ours cut the maps of all stages into the same windows.

  We pad images to whole patches, halved maps to even ones, and all to whole windows before the
  shift; a map no larger than a window is one with its shorter side, and is not shifted. timm cuts
  off what is no whole patch and pads after the shift. Hugging Face's version 2 expects smaller
  maps than there are: it decides by their height, rounded down.

  Args:
    tables: Shapes of the bias tables of version 1, a stage each, which show the windows of theirs.
  """
  maps = [tuple(-(-n // (patch * 2**i)) for n in image_size) for i in range(len(size.depths))]
  window = size.window_size
  ours = [window_and_shift(sides, window, True) for sides in maps]
  if any(_side(table) != side for table, (side, _) in zip(tables, ours)):
    return False
  if whose == 'timm':
    whole = [m[0] == m[1] if min(m) <= window else not any(n % window for n in m) for m in maps]
    return all(whole) and not any(n % patch for n in image_size)
  if whose == 'huggingface' and size.version == 2:
    heights = [image_size[0] // patch // 2**i for i in range(len(maps))]
    return ours == [window_and_shift((h, h), window, True) for h in heights]
  # Version 1 of Hugging Face fails on maps that are smaller than its windows.
  return whose != 'huggingface' or min(map(min, maps)) >= window


def _side(table: Shape) -> int:
  """The side of the windows that a table of biases is for."""
  return (round(table[0] ** 0.5) + 1) // 2
