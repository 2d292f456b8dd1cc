"""Weights with all that travels with them, wherever they are: other people's, or a run of ours."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxtyping import PyTree
from ml_collections import ConfigDict

from vitlab import pretrained, tasks, workdir
from vitlab.facts import fill
from vitlab.pretrained import About
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
    return dict(path=self.path, **self.about.describe(), **self.origin)


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


def about(config: ConfigDict, facts: Mapping[str, Any]) -> About:
  """What travels with the model of a run, by its config and the facts of its data set."""
  task = tasks.innermost(config.task.to_dict())  # a wrapper has no pictures of its own
  return About.of(fill(config.model.to_dict(), facts, 'model'), facts, task)


def _of_run(model: Model, player: str) -> Published:
  known = about(model.config, model.facts)
  spec = {key: value for key, value in known.spec.items() if key not in TRAINING}
  tree = model.variables[player if player in model.variables else 'model']

  def load(like: PyTree, *, head: str = 'keep', fresh: str = '') -> PyTree:
    options = dict(image_size=known.image_size, head=head, fresh=fresh)
    return pretrained.transfer(tree, like, known.spec, **options)

  free = {*TRAINING, 'layer_scale'}
  if pretrained.has_timm(spec['name']):
    free |= {*pretrained.find_format(spec['name'], 'timm').resampled}
  origin = dict(format='vitlab', step=model.step)
  return Published(model.workdir, known._replace(spec=spec), load, frozenset(free), origin)
