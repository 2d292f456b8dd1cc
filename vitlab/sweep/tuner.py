"""TPE (Bergstra et al., 2011) and the pruning of hopeless trials, by optuna.

The study is a journal in the folder of the sweep, and the controller its only writer. Trials have
the same numbers there as here, so that one which a killed controller has left running is simply
gone on with.
"""

import pathlib
import types
import warnings
from typing import Any

from vitlab.errors import UserError
from vitlab.sweep.definition import Definition
from vitlab.sweep.points import Point
from vitlab.sweep.search import Space
from vitlab.sweep.trial import FINISHED, PRUNED, Trial

JOURNAL = 'study.journal'


class Tuner:
  """The study of one sweep.

  Args:
    definition: One with a search.
    folder: Of the sweep.

  Raises:
    UserError: optuna is not installed.
  """

  def __init__(self, definition: Definition, folder: pathlib.Path):
    self._optuna, self._definition = require(), definition
    path = folder / JOURNAL
    trim(path)
    journal = self._optuna.storages.journal
    self._study = self._optuna.create_study(
      study_name='sweep',
      storage=journal.JournalStorage(journal.JournalFileBackend(str(path))),
      direction='maximize' if definition.goal == 'max' else 'minimize',
      pruner=self._pruner(),
      load_if_exists=True,
    )

  @property
  def asked(self) -> int:
    """How many trials were asked for."""
    return len(self._trials())

  def ask(self, number: int) -> Point:
    """The point of a trial; asked again, it is the same."""
    known = self._trials()
    self._study.sampler = self._sampler(number)
    trial = self._handle(number) if number < len(known) else self._study.ask()
    spaces = self._definition.search.spaces
    return {key: space.tidy(_suggest(trial, key, space)) for key, space in spaces.items()}

  def tell(self, trial: Trial) -> None:
    """What has become of a trial; said again, it changes nothing."""
    known, states = self._trials(), self._optuna.trial.TrialState
    if trial.number >= len(known) or known[trial.number].state.is_finished():
      return
    value = trial.value(self._definition.metric)
    if trial.state == PRUNED:
      self._study.tell(trial.number, state=states.PRUNED)
    elif trial.state == FINISHED and value is not None:
      self._study.tell(trial.number, value)
    else:
      self._study.tell(trial.number, state=states.FAIL)

  def is_hopeless(self, trial: Trial) -> bool:
    """Whether a running trial is not worth its time, by its latest value of the metric."""
    if self._definition.search.pruner is None:
      return False
    handle = self._handle(trial.number)
    values = trial.measured(self._definition.metric)
    told = len(self._trials()[trial.number].intermediate_values)
    if told >= len(values):
      return False
    # Counted in evaluations: steps mean different work where the batch size is swept.
    for position, value in enumerate(values[told:], told + 1):
      handle.report(value, position)
    return handle.should_prune()

  def _trials(self) -> list[Any]:
    return self._study.get_trials(deepcopy=False)

  def _handle(self, number: int) -> Any:
    trial = self._trials()[number]
    return self._optuna.trial.Trial(self._study, trial._trial_id)

  def _sampler(self, number: int) -> Any:
    """Of the point of one trial: continuing after a kill must not depend on what was drawn before.

    Drawn from (seed, number) and, for TPE, from what the trials told so far have reached.
    """
    search, samplers = self._definition.search, self._optuna.samplers
    if search.method == 'random':
      fixed = {
        key: search.spaces[key].values.index(value) if search.spaces[key].values else value
        for key, value in self._definition.points[number].items()
      }
      return samplers.PartialFixedSampler(fixed, samplers.RandomSampler())
    seed = (search.seed * 1_000_003 + number) % 2**32
    # Running trials count as bad ones: those started at once would else all try the same.
    return samplers.TPESampler(seed=seed, constant_liar=True)

  def _pruner(self) -> Any:
    pruners = self._optuna.pruners
    name = self._definition.search.pruner
    if name == 'asha':
      return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if name == 'hyperband':
      return pruners.HyperbandPruner(min_resource=1, reduction_factor=3)
    return pruners.NopPruner()


def trim(path: pathlib.Path) -> None:
  """Cuts off the torn last line that a kill has left in a journal, and its lock.

  Nobody else writes it: the controller holds the folder of the sweep.
  """
  path.with_name(f'{path.name}.lock').unlink(missing_ok=True)
  if path.exists():
    whole = path.read_bytes().rpartition(b'\n')
    with open(path, 'r+b') as file:
      file.truncate(len(whole[0]) + len(whole[1]))


def _suggest(trial: Any, key: str, space: Space) -> Any:
  if space.kind == 'choice':
    # By position: optuna knows no tuples.
    return space.values[trial.suggest_categorical(key, list(range(len(space.values))))]
  if space.kind == 'integer':
    return trial.suggest_int(key, space.low, space.high)
  return trial.suggest_float(key, space.low, space.high, log=space.kind == 'log_uniform')


def require() -> types.ModuleType:
  """optuna, made quiet.

  Raises:
    UserError: it is not installed.
  """
  try:
    import optuna
  except ImportError:
    raise UserError(
      'method=tpe and pruning need optuna, which is not installed: pip install "optuna>=5,<6"'
      "\nor search at random, without a pruner: method='random', pruner=None"
    ) from None
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  warnings.filterwarnings('ignore', category=optuna.exceptions.ExperimentalWarning)
  return optuna
