"""Where the trials of a sweep run: `vitlab/sweep/backends/<name>.py` holds `make(...)`.

`--backend=slurm,gpus_per_node=1` means `slurm.make(..., gpus_per_node='1')`. What it returns either
starts trials itself, a `Runner`, or writes down how to start them, a `Printer`.
"""

import importlib
import inspect
import pathlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from vitlab import registry
from vitlab.errors import UserError, unknown
from vitlab.sweep.trial import Trial


@runtime_checkable
class Job(Protocol):
  """A trial that was started."""

  def poll(self) -> int | None:
    """Its exit code when it has ended, None before; negative: the signal that has ended it."""

  def stop(self) -> None:
    """Asks it to save and to end soon, with code 75."""


@runtime_checkable
class Runner(Protocol):
  """A back-end that starts trials.

  Attributes:
    slots: How many at once.
  """

  slots: int

  def start(self, trials: Sequence[Trial]) -> Sequence[Job]:
    """Starts trials, as many as there is room for, or finds those that still run."""


@runtime_checkable
class Printer(Protocol):
  """A back-end that says how to start trials."""

  def text(self, trials: Sequence[Trial]) -> str:
    """The lines, or the manifest."""


def make(text: str, folder: pathlib.Path, slots: int, retries: int) -> Runner | Printer:
  """The back-end of --backend.

  Args:
    text: Its name and options: 'name,option=value'.
    folder: Of the sweep.
    slots: How many trials at once; 0 leaves it to the back-end.
    retries: How often a trial that fails is tried again.

  Raises:
    UserError: no such back-end or option, or this machine does not have what it needs.
  """
  name, *fields = text.split(',')
  names = registry.names('sweep.backends')
  if name not in names:
    raise unknown('back-end', name, names)
  function = importlib.import_module(f'vitlab.sweep.backends.{name}').make
  own = dict(folder=folder, slots=slots, retries=retries)
  parameters = inspect.signature(function).parameters
  open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
  possible = [
    key for key, p in parameters.items() if key not in own and p.kind is not p.VAR_KEYWORD
  ]
  options = {}
  for field in fields:
    key, equals, value = field.partition('=')
    if not open_ended and key not in possible:
      raise unknown(f'option of back-end {name}', key, possible)
    if not equals or not value:
      raise UserError(f'--backend={text}: {key} needs a value, {key}=...')
    options[key] = value
  missing = [key for key in possible if parameters[key].default is inspect.Parameter.empty]
  if lacking := [key for key in missing if key not in options]:
    example = ','.join([name, *(f'{key}=...' for key in missing)])
    raise UserError(f'--backend={name} needs {" and ".join(lacking)}: --backend={example}')
  return function(**{key: value for key, value in own.items() if key in parameters}, **options)
