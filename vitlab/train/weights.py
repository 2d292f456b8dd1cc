"""Weights with all that travels with them, wherever they are: other people's, or a run of ours."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxtyping import PyTree
from ml_collections import ConfigDict

from vitlab import pretrained, tasks, workdir
from vitlab.errors import UserError
from vitlab.facts import fill
from vitlab.pretrained import About, Preprocessing
from vitlab.workdir import model as model_lib
from vitlab.workdir.model import Model, is_run

# Words of a model that say how it is trained and run, not what it is.
TRAINING = ('dropout_rate', 'drop_path_rate', 'scan', 'remat', 'dtype')


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
  if is_run(path):
    return _of_run(model_lib.load(path, workdir.stored_config(path)), player)
  weights = pretrained.read(path, rename)
  table = pretrained.find_format(weights.family, weights.format)
  origin = dict(family=weights.family, format=weights.format, sha256=dict(weights.sha256))
  return Published(path, weights.about, weights.load, frozenset(table.resampled), origin)


def is_published(path: str) -> bool:
  """Whether this is a file or folder of published weights."""
  return not is_run(path) and pretrained.holds_weights(path)


def about(config: ConfigDict, facts: Mapping[str, Any], folder: str) -> About:
  """What travels with a trained classifier, or a model of sentences.

  Args:
    config: Of the run.
    facts: Of its data set.
    folder: Its workdir, for the message.

  Raises:
    UserError: it is neither.
  """
  spec = fill(config.model.to_dict(), facts, 'model')
  task = tasks.innermost(config.task)  # a wrapper has no pictures of its own
  if 'vocab_size' in spec:
    return About(spec, None, vocabulary=tuple(facts.get('vocabulary') or ()))
  if 'image' not in facts:
    raise UserError(f'workdir {folder!r} holds no model of images or sentences')
  values = {key: tuple(task.get(key) or (0.5,)) for key in ('mean', 'std')}
  # What the facts do not say is what `preprocess` does by itself, not what ImageNet's models want.
  image = dict(channels=3, resize='squash', crop_fraction=1.0, interpolation='bicubic')
  image |= facts['image']
  image |= {key: tuple(image[key]) for key in ('image_size', 'fill') if key in image}
  return About(spec, Preprocessing(**image, **values), tuple(facts['class_names']))


def _of_run(model: Model, player: str) -> Published:
  known = about(model.config, model.facts, model.workdir)
  spec = {key: value for key, value in known.spec.items() if key not in TRAINING}
  tree = model.variables[player if player in model.variables else 'model']

  def load(like: PyTree, *, head: str = 'keep', fresh: str = '') -> PyTree:
    size = known.preprocessing and known.preprocessing.image_size
    return pretrained.transfer(tree, like, known.spec, image_size=size, head=head, fresh=fresh)

  free = {*TRAINING, 'layer_scale'}
  if pretrained.has_timm(spec['name']):
    free |= {*pretrained.find_format(spec['name'], 'timm').resampled}
  origin = dict(format='vitlab', step=model.step)
  return Published(model.workdir, known._replace(spec=spec), load, frozenset(free), origin)
