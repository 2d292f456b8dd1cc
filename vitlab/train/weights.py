"""Weights with all that travels with them, wherever they are: other people's, or a run of ours."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxtyping import PyTree

from vitlab import pretrained
from vitlab.errors import UserError
from vitlab.pretrained import About, Preprocessing
from vitlab.train import trained as trained_lib
from vitlab.train.trained import TRAINING, Trained


class Published(NamedTuple):
  """Weights to start from.

  Attributes:
    path: Where they were found.
    about: The model, its pictures, its classes or words.
    load: (like, head=..., fresh=...) -> one player's collections; see `vitlab.pretrained.Weights`.
    free: Words in which a model may differ from the weights all the same.
    origin: What a workdir records of them: kind, format, step, sha256 of the files.
  """

  path: str
  about: About
  load: Callable[..., PyTree]
  free: frozenset[str]
  origin: Mapping[str, Any]

  def describe(self) -> dict[str, Any]:
    """All but the numbers, for JSON."""
    _, pictures, classes, words = self.about
    if pictures is None:
      known = dict(vocabulary=list(words))
    else:
      known = dict(preprocessing=pictures._asdict(), class_names=list(classes))
    return dict(path=self.path, **known, **self.origin)


def find(path: str, player: str = 'model', rename: Mapping[str, str] | None = None) -> Published:
  """The weights at a path: a file or folder of `vitlab.pretrained.read`, or a workdir.

  Args:
    path: Of them.
    player: Of a run with several.
    rename: For files of strangers, see `vitlab.pretrained.read`.

  Raises:
    UserError: there are none, or none that vitlab knows.
  """
  path = os.path.expanduser(path)
  if trained_lib.is_run(path):
    return _of_run(trained_lib.load(path), player)
  weights = pretrained.read(path, rename)
  table = pretrained.find_format(weights.family, weights.format)
  origin = dict(family=weights.family, format=weights.format, sha256=dict(weights.sha256))
  return Published(path, weights.about, weights.load, frozenset(table.resampled), origin)


def about(trained: Trained) -> About:
  """What travels with a trained classifier, or a model of sentences.

  Raises:
    UserError: it is neither.
  """
  facts, task = trained.facts, trained.config.task
  spec = trained.config.model.to_dict()
  spec = {key: facts.get(key) if value is None else value for key, value in spec.items()}
  if 'vocab_size' in spec:
    return About(spec, None, vocabulary=tuple(facts.get('vocabulary') or ()))
  if 'image' not in facts:
    raise UserError(f'workdir {trained.workdir!r} holds no model of images or sentences')
  while 'task' in task:  # a wrapper has no pictures of its own
    task = task.task
  values = {key: tuple(task.get(key) or (0.5,)) for key in ('mean', 'std')}
  # What the facts do not say is what `preprocess` does by itself, not what ImageNet's models want.
  image = dict(channels=3, resize='squash', crop_fraction=1.0, interpolation='bicubic')
  image |= facts['image']
  image |= {key: tuple(image[key]) for key in ('image_size', 'fill') if key in image}
  return About(spec, Preprocessing(**image, **values), tuple(facts['class_names']))


def export(trained: Trained, format: str, output: str = '') -> str:
  """Writes a trained model as a folder that timm or Hugging Face loads.

  Args:
    trained: The model.
    format: 'timm' or 'huggingface'.
    output: The folder; by default export/<format> in the workdir.

  Returns:
    The folder.

  Raises:
    UserError: as `vitlab.pretrained.write`.
  """
  folder = output or f'{trained.workdir}/export/{format}'
  return str(pretrained.write(folder, trained.variables['model'], about(trained), format))


def _of_run(trained: Trained, player: str) -> Published:
  known = about(trained)
  spec = {key: value for key, value in known.spec.items() if key not in TRAINING}
  tree = trained.variables[player if player in trained.variables else 'model']

  def load(like: PyTree, *, head: str = 'keep', fresh: str = '') -> PyTree:
    size = known.preprocessing and known.preprocessing.image_size
    return pretrained.transfer(tree, like, known.spec, image_size=size, head=head, fresh=fresh)

  free = {*TRAINING, 'layer_scale'}
  if pretrained.has_timm(spec['name']):
    free |= {*pretrained.find_format(spec['name'], 'timm').resampled}
  origin = dict(format='vitlab', step=trained.step)
  return Published(trained.workdir, known._replace(spec=spec), load, frozenset(free), origin)
