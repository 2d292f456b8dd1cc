"""Trainings of a claim: ordinary configs, an ordinary sweep, which goes on after a kill."""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.claims import own
from experiments.claims.frame import Place
from vitlab import workdir
from vitlab.cli import config_file
from vitlab.sweep import controller, definition
from vitlab.sweep.points import Point
from vitlab.train import evaluate, setup
from vitlab.workdir import model

HERE = pathlib.Path(__file__).resolve().parent
LAUNCHER, CONFIGS = HERE / 'launcher.py', HERE.parents[1] / 'configs'
POINTS = """\"\"\"What is swept, written by experiments/claims/run.py.\"\"\"


def sweep(add):
  for point in {points}:
    add(point)
"""


class Run(NamedTuple):
  """A training that has ended.

  Attributes:
    point: Its keys of the config and their values.
    folder: Its workdir.
    metrics: The last ones.
  """

  point: Point
  folder: pathlib.Path
  metrics: dict[str, Any]

  @property
  def seed(self) -> int:
    return self.point['seed']

  @property
  def accuracy(self) -> float:
    """On the test split, in percent."""
    return 100 * self.metrics['test/accuracy']


def trained(
  place: Place, name: str, config: str, points: Sequence[Point], overrides: Sequence[str] = ()
) -> list[Run]:
  """The trainings of some points; those that are not there yet are run.

  Args:
    place: Whose folder the sweep goes to.
    name: Of the sweep.
    config: As in --config.
    points: As a sweep has them.
    overrides: Changes that hold for all: 'batch_size=64'.

  Raises:
    SystemExit: it was asked to stop, or trainings have failed.
  """
  own.add()
  folder = place.folder / name
  folder.mkdir(parents=True, exist_ok=True)
  file = folder / 'points.py'
  file.write_text(POINTS.format(points=list(points)))
  changes = [f'--config.{change}' for change in overrides]
  found = definition.read(config_file.load(config, changes), config, changes, str(file))
  code = controller.run(found, str(folder), slots=place.slots, retries=0, launcher=LAUNCHER)
  if code:
    sys.exit(code)
  rows = map(json.loads, (folder / controller.trial.RESULTS).read_text().splitlines())
  return [Run(row['point'], pathlib.Path(row['workdir']), row['metrics']) for row in rows]


class Trained(NamedTuple):
  """A trained model, to be looked at.

  Attributes:
    experiment: What `vitlab.train.setup.build` makes of its config.
    variables: Of its best checkpoint, by player.
  """

  experiment: setup.Experiment
  variables: Any

  def metrics(self, evaluator: str, variables: Any = None) -> dict[str, float]:
    """Of an evaluator of the config, perhaps with other variables."""
    read = evaluate.predictions(self.experiment, variables or self.variables)
    return self.experiment.evaluators[evaluator](read).metrics

  def first(self, name: str, split: str, variables: Any = None) -> tuple[Any, Any]:
    """A prediction for the first batch of a split, and the batch."""
    read = evaluate.predictions(self.experiment, variables or self.variables)
    return next(iter(read(name, split)))


def load(folder: pathlib.Path) -> Trained:
  """The best checkpoint of a run."""
  own.add()
  config = workdir.stored_config(str(folder))
  _, _, variables = model.load(str(folder), config)
  experiment = setup.build(config)
  wanted = experiment.abstract_state.variables
  put = jax.tree.map(lambda x, to: jax.device_put(np.asarray(x), to.sharding), variables, wanted)
  return Trained(experiment, put)
