"""Weights with all that travels with them, wherever they are: other people's, or a run of ours."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree
from ml_collections import ConfigDict

from vitlab import names, pretrained, tasks, workdir
from vitlab.data import classes, tokenizers
from vitlab.errors import UserError
from vitlab.facts import fill
from vitlab.pretrained import About
from vitlab.workdir import model as model_lib
from vitlab.workdir.model import is_run

# Words of a model that say how it is trained and run, not what it is.
TRAINING = frozenset(
  {
    *('dropout_rate', 'attention_dropout_rate', 'drop_path_rate'),
    *('scan', 'remat', 'backward', 'mlp_chunk', 'dtype'),
    *('memory_length', 'eval_memory_length'),
    *('query_groups', 'denoising', 'no_object_weight', 'through_vectors'),
  }
)


class Weights(NamedTuple):
  """Weights to start from.

  Attributes:
    path: Where they were found.
    about: The model, its pictures, its classes or words.
    read: (like, head=..., fresh=...) -> one player's collections; see `vitlab.pretrained.Weights`.
    free: Words in which a model may differ from the weights all the same.
    origin: What a workdir records of them: kind, format, step, sha256 of the files.
    head: 'keep' the classifier, or 'new': it starts anew.
    fresh: Regex of paths of ours that start anew.
  """

  path: str
  about: About
  read: Callable[..., PyTree]
  free: frozenset[str]
  origin: Mapping[str, Any]
  head: str = 'keep'
  fresh: str = ''

  def load(
    self, like: PyTree, facts: Mapping[str, Any] | None = None, match_classes: str = 'name'
  ) -> PyTree:
    """One player's collections, without what starts anew.

    Args:
      like: Shapes of the player's collections.
      facts: The facts of the data set: classifiers get the order of its classes.
      match_classes: See `vitlab.data.classes.numbers`.

    Raises:
      UserError: as `vitlab.pretrained.Weights.load`; the data have other classes or words.
    """
    if self.head == 'keep' and not self.fresh:
      self._check_counts(like['params'])
    known, kept = self.about.facts(), not self.fresh and self._counted is not names.WORDS
    if kept:  # of a model of classes, whatever its head: it says more than that shapes differ
      self._check_words(like['params'], facts)
    like = tasks.without_rows({'model': like})['model']  # which weights know nothing of
    loaded = self.read(like, head=self.head, fresh=self.fresh)
    params = dict(loaded.get('params', {}))
    heads = _heads(params)
    if facts and heads and not self._has_own_classes(like['params'], params, facts):
      anew = self._anew('a new classifier')
      order = classes.numbers(facts, known, self.path, match_classes, anew)
      if order is not None:
        params |= {name: _reordered(name, params[name], order.tolist()) for name in heads}
    if not kept:
      self._check_words(params, facts)
    return {**loaded, 'params': params}

  def _has_own_classes(self, like: PyTree, params: PyTree, facts: Mapping[str, Any]) -> bool:
    """Whether the model is to keep classes that are not those of the data, as an encoder may."""
    shapes = [[x.shape for x in jax.tree.leaves(_heads(tree))] for tree in (like, params)]
    key = names.CLASSES.keyword
    of_data = facts.get(key, self.about.spec.get(key))
    return shapes[0] == shapes[1] and self.about.spec.get(key) != of_data

  @property
  def _counted(self) -> names.Counted:
    return names.counted(self.about.spec['name'])

  def _check_words(self, params: PyTree, facts: Mapping[str, Any] | None) -> None:
    """Raises UserError if parameters that are read number other words than the data."""
    if not facts or not set(names.WORDS.parameters) & set(names.flatten(params)):
      return
    instead = f'give it that one: data.tokenizer={self.path}'
    if self._counted is names.WORDS:  # else the new head is one of classes
      instead += f', or {self._anew("with new words")}'
    size = {names.WORDS.keyword: self.about.spec.get(names.WORDS.keyword)}
    tokenizers.check_same(facts, self.about.facts() | size, self.path, instead)

  def describe(self) -> dict[str, Any]:
    """All but the numbers, for JSON."""
    options = dict(path=self.path, head=self.head, fresh=self.fresh)
    return {**options, **self.about.describe(), **self.origin}

  def _anew(self, what: str) -> str:
    return f"to start {what}: config.init_from = dict(path={self.path!r}, head='new')"

  def _check_counts(self, params: PyTree) -> None:
    """Raises UserError if the weights know other classes or words than the model."""
    counted = self._counted
    known, flat = self.about.spec.get(counted.keyword), names.flatten(params)
    found = counted.number(flat)
    if found is not None and found != known:
      anew = 'with new words' if counted is names.WORDS else 'a new classifier'
      raise UserError(
        f'the weights in {self.path} have {known or "no"} {counted.noun}, '
        f'the model {found}\n{self._anew(anew)}'
      )


def _reordered(head: str, params: PyTree, order: Sequence[int]) -> PyTree:
  """The parameters of a head with its classes in this order."""
  take = lambda x: np.asarray(x)[..., names.of_classes(head, x.shape[-1], order)]  # noqa: E731
  return jax.tree.map(take, params)


def find(path: str, player: str = 'model', rename: Mapping[str, str] | None = None) -> Weights:
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
    return _of_run(path, player)
  weights = pretrained.read(path, rename)
  origin = dict(family=weights.family, format=weights.format, sha256=dict(weights.sha256))
  return Weights(path, weights.about, weights.load, pretrained.RESAMPLED, origin)


def is_published(path: str) -> bool:
  """Whether this is a file or folder of published weights."""
  return not is_run(path) and pretrained.holds_weights(path)


def about(config: ConfigDict, facts: Mapping[str, Any]) -> About:
  """What travels with the model of a run, by its config and the facts of its data set."""
  task = tasks.innermost(config.task.to_dict())  # a wrapper has no pictures of its own
  return About.of(fill(config.model.to_dict(), facts, 'model'), facts, task)


def computed(config: ConfigDict, facts: Mapping[str, Any]) -> dict[str, Any]:
  """The spec of the model in a config, without what only matters in training."""
  spec = fill(config.model.to_dict(), facts, 'model')
  return {key: value for key, value in spec.items() if key not in TRAINING}


def _of_run(path: str, player: str) -> Weights:
  config = workdir.stored_config(path)
  step, facts, variables = model_lib.load(path, config)
  known, spec = about(config, facts), computed(config, facts)
  tree = variables[player if player in variables else 'model']

  def read(like: PyTree, **options: str) -> PyTree:
    return pretrained.transfer(tree, like, known.spec, image_size=known.image_size, **options)

  origin = dict(format='vitlab', step=step)
  free = pretrained.RESAMPLED | TRAINING
  return Weights(path, known._replace(spec=spec), read, free, origin)


def _heads(params: PyTree) -> dict[str, PyTree]:
  """The classifiers among a model's parameters."""
  return {name: params[name] for name in names.CLASSES.modules if params.get(name)}
