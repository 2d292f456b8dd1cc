"""From a path to weights that know what they are: the model, its pictures, its classes or words."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import PyTree

from vitlab import registry
from vitlab.data.vocabularies import kinds as vocabularies
from vitlab.errors import UserError
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, kinds
from vitlab.pretrained import preprocessing as preprocessing_lib
from vitlab.pretrained.assemble import Format, Shapes, shorten
from vitlab.pretrained.convert import find_format, formats, import_tensors
from vitlab.pretrained.files import Files, read_files
from vitlab.pretrained.preprocessing import Preprocessing, image_size_of
from vitlab.pretrained.processors import from_huggingface
from vitlab.pretrained.rename import renamed, suggestion, unwrapped
from vitlab.pretrained.tables import Seen

# Format -> the library whose code prepares its pictures.
_LIBRARIES = dict(timm='timm', microsoft='timm', dinov2='timm', huggingface='huggingface')


class About(NamedTuple):
  """What travels with the weights of a model.

  Attributes:
    spec: The model, dict(name=..., ...) for `registry.make('models', spec)`.
    preprocessing: Of its pictures; None: it sees none.
    class_names: Of a classifier, in the order of the logits; () if nobody said them.
    vocabulary: Of a model of sentences, its words in the same way.
    tokenizer: Of a language model, text <-> tokens: `vitlab.data.vocabularies.Vocabulary.text`.
  """

  spec: Mapping[str, Any]
  preprocessing: Preprocessing | None
  class_names: Sequence[str] = ()
  vocabulary: Sequence[str] = ()
  tokenizer: str = ''

  @classmethod
  def of(
    cls, spec: Mapping[str, Any], facts: Mapping[str, Any], task: Mapping[str, Any]
  ) -> 'About':
    """What travels with a model of ours.

    Args:
      spec: The spec of the model.
      facts: The facts of the data set that it was trained on.
      task: The spec of its task, which may say the mean and std of pictures.
    """
    names, words = (tuple(facts.get(key) or ()) for key in ('class_names', 'vocabulary'))
    if 'image' not in facts:
      text = facts.get('tokenizer') or ''
      return cls(spec, None, names, words, text if vocabularies.is_one(text) else '')
    values = {key: tuple(task.get(key) or (0.5,)) for key in ('mean', 'std')}
    # What they do not say is what `preprocess` does by itself, not what ImageNet's models want.
    image = dict(channels=3, resize='squash', crop_fraction=1.0, interpolation='bicubic')
    image |= facts['image'] | ({'fill': task['fill']} if task.get('fill') else {})
    image |= {key: tuple(image[key]) for key in ('image_size', 'fill') if key in image}
    return cls(spec, Preprocessing(**image, **values), names, words)

  @property
  def image_size(self) -> Grid | None:
    """Pixels (height, width) of its pictures."""
    return self.preprocessing and self.preprocessing.image_size

  def facts(self) -> dict[str, Any]:
    """What its numbers mean, as a data set says it."""
    known = dict(class_names=list(self.class_names), vocabulary=list(self.vocabulary))
    return {key: names for key, names in (known | dict(tokenizer=self.tokenizer)).items() if names}

  def text(self, path: str) -> dict[str, Any]:
    """What a model of text says of it, as a data set does: vocab_size, tokenizer, special.

    Args:
      path: Of the weights, for the message.

    Raises:
      UserError: the vocabulary beside the weights has more tokens than they.
    """
    size = self.spec['vocab_size']
    if not self.tokenizer:
      return dict(vocab_size=size, tokenizer='', special={})
    found = vocabularies.from_text(self.tokenizer)
    if len(found) > size:
      raise UserError(
        f'{path}: its vocabulary has {len(found):,} tokens, its weights {size:,}\n'
        'put the vocabulary of these weights beside them'
      )
    return dict(vocab_size=size, tokenizer=self.tokenizer, special=found.special._asdict())

  def keywords(self) -> dict[str, Any]:
    """What a config has to say of the data and the task that its model has learned."""
    words = self.preprocessing._asdict() if self.preprocessing else {}
    if words.get('resize') == 'fit' and words['fill'] == (0,):
      del words['fill']  # what is zero once it is normalised, not black
    return words

  def describe(self) -> dict[str, Any]:
    """All but the model, for JSON, and the tokenizer, which is long and lies beside the weights."""
    known = {key: names for key, names in self.facts().items() if key != 'tokenizer'}
    return known | ({'preprocessing': self.preprocessing._asdict()} if self.preprocessing else {})


class Weights(NamedTuple):
  """Weights as somebody published them.

  Attributes:
    path: Where they were found.
    family: A file of vitlab/models and vitlab/pretrained: 'vit', ...
    format: 'timm', 'huggingface', 'augreg', ...
    tensors: Name -> array.
    about: The model, its pictures, its classes or words: by the source, not vitlab's defaults.
    sha256: Of every file, by its name.
    image_size: Pixels (height, width) that they were trained on, where a file says it.
  """

  path: str
  family: str
  format: str
  tensors: Mapping[str, np.ndarray]
  about: About
  sha256: Mapping[str, str]
  image_size: Grid | None = None

  def load(self, like: PyTree, *, head: str = 'keep', fresh: str = '') -> PyTree:
    """One player's collections, positions and bias tables resampled to `like`.

    Args:
      like: {'params': ..., ...} of our model, arrays or their shapes.
      head: 'keep' the classifier, or 'new': it is not read, and missing in the result.
      fresh: Regex (`re.match`) of paths of ours, 'params/norm/', that are missing in it as well.

    Raises:
      UserError: tensors are missing, left over or of another shape; lists them.
    """
    known = dict(spec=self.about.spec, image_size=self.image_size, head=head, fresh=fresh)
    try:
      return import_tensors(self.tensors, like, self.family, self.format, **known)
    except UserError as error:
      raise UserError(f'{self.path}: {error}') from error


def read(path: str, rename: Mapping[str, str] | None = None) -> Weights:
  """Weights from a file or folder; what they are is found out.

  Args:
    path: A .safetensors file, a folder with config.json and model.safetensors (timm's or Hugging
      Face's; in parts too; with vocab.json where it speaks), or an .npz file of
      google-research/vision_transformer (AugReg).
    rename: For files whose names differ: regex -> replacement (`re.sub`), tried in order on every
      name; a tensor renamed to '' is dropped. For example {r'^net\\.': '', r'^ema_.*': ''}. What
      all names begin with ('module.', '_orig_mod.', 'model.') is left out without it.

  Raises:
    UserError: nothing readable there; a pickle; weights of no family that vitlab has; a model that
      vitlab does not compute; a key of config.json that is not known, or its value.
  """
  files = read_files(path)
  try:
    return _understood(path, files, rename or {})
  except UserError as error:
    raise UserError(f'{path}: {error}') from error


def _understood(path: str, files: Files, rename: Mapping[str, str]) -> Weights:
  families = registry.names('pretrained.families')
  known = [(family, name, f) for family in families for name, f in formats(family).items()]
  tensors = unwrapped(renamed(files.tensors, rename), [table.sign for _, _, table in known])
  files = files._replace(tensors=tensors, config=kinds.complete(files.config))
  family, name = _recognise(path, files, known)
  table = find_format(family, name)
  if advice := suggestion(path, tensors, [table.sign]):
    raise UserError(f'its tensors are not named as those of a {family} of {name}{advice}')
  files = files._replace(config=keys.settle(kinds.complete(files.config, family)))
  if table.keys is not None:
    keys.check(files.config, table.keys)
  try:
    files = table.prepare(files) if table.prepare else files
    shapes = {tensor: tuple(array.shape) for tensor, array in files.tensors.items()}
    spec = table.spec(files.config, shapes)
    registry.make('models', spec)  # what it refuses, these files say
  except KeyError as error:  # a table looked for what every such model has
    raise UserError(f'{name} weights of a {family} without {error}') from error
  words = tuple(files.words[i] for i in sorted(files.words))
  about = About(
    spec,
    _pictures(path, files, shapes, name, table),
    _class_names(files.config, spec),
    words if len(words) == spec.get('vocab_size') else (),
    files.tokenizer if 'vocab_size' in spec else '',
  )
  size = image_size_of(files.config)
  if size is None and name == 'timm':  # the code of the others knows squares only
    _say_square(path, Seen(table.part_of, shapes))
  return Weights(path, family, name, files.tensors, about, files.sha256, size)


def _recognise(
  path: str, files: Files, known: Sequence[tuple[str, str, Format]]
) -> tuple[str, str]:
  """(family, format) by the name in config.json, else by the names of the tensors."""
  config = files.config
  model, kind = config.get('architecture'), 'timm'
  if model is None:
    model, kind = config.get('model_type'), 'huggingface'
  if model is not None:
    for family, name, table in known:
      if name == kind and re.match(table.architectures or family, model):
        return family, name
    families = ', '.join(registry.names('pretrained.families'))
    raise UserError(
      f'its config.json says {model!r}, which vitlab does not have'
      f'\nit reads {families} of timm and Hugging Face'
    )
  for family, name, table in known:
    if table.sign and any(re.match(table.sign, tensor) for tensor in files.tensors):
      return family, name
  advice = suggestion(path, files.tensors, [table.sign for _, _, table in known])
  raise UserError(
    f'neither a config.json nor the names of the tensors say what they are: '
    f'{shorten(sorted(files.tensors), 3)}'
    + (advice or '\nput the config.json of timm or Hugging Face beside them')
  )


def _pictures(
  path: str, files: Files, shapes: Shapes, name: str, table: Format
) -> Preprocessing | None:
  """What is done to pictures, by what lies beside the weights, else as their authors do."""
  default, config = table.preprocessing, files.config
  if default is None:
    return None
  default = default(config, shapes) if callable(default) else default
  size, channels = image_size_of(config), config.get('num_channels')
  default = default._replace(
    image_size=size or default.image_size,
    channels=channels or default.channels,
    library='vitlab' if default.resize == 'fit' else _LIBRARIES.get(name, 'vitlab'),
  )
  if 'architecture' in config:
    found = preprocessing_lib.from_timm(config, default)
    said = 'mean' in config.get('pretrained_cfg', config)
  else:
    found = from_huggingface(files.processor, default, config.get('model_type') or '')
    said = bool(files.processor)
  if not said:
    logging.warning(
      f'{path}: no file beside these weights says how pictures are prepared: assumed '
      f'{found.resize} to {found.image_size}, crop_fraction={found.crop_fraction:g}, '
      f'{found.interpolation}, mean={found.mean}, std={found.std}, as {found.library}'
    )
  return found


def _say_square(path: str, seen: Seen) -> None:
  """Says in one line that as many positions may come from a grid of another shape."""
  num_positions = seen.get('position_embedding/grid', (1, 0))[1]
  side = math.isqrt(num_positions)
  tokens = sum(seen.get(token, (1, 0))[1] for token in ('cls_token', 'dist_token', 'registers'))
  if num_positions and num_positions - side**2 in (0, tokens):
    logging.warning(
      f'{path}: taken for a square grid of {side}×{side} patches, of which no shape tells: '
      'a config.json beside it would say it, {"model_args": {"img_size": [height, width]}}'
    )


def _class_names(config: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[str, ...]:
  """timm's label_names or Hugging Face's id2label, where there is one for every logit."""
  cfg = config.get('pretrained_cfg') or {}
  names = (
    config.get('label_names')
    or config.get('labels')
    or cfg.get('label_names')
    or config.get('id2label')
    or ()
  )
  names = kinds.labels(names)
  return tuple(names) if len(names) == (spec.get('num_classes') or 0) else ()
