"""What became of a run's time: events.jsonl in its workdir, one JSON object a line, only appended.

  {"time": 1790000000.5, "event": "train", "step": 50, "seconds": 4.1, "waited": 0.02}

`time` is when it was written (seconds since 1970), `step` how many steps were done, `seconds` how
long it took, where it took any:

  start      a session began, at the step it restored, `seconds` after its process; `lost` steps are
             done again, as far as they had left a trace
  compile    the first step of a session, with its compilation
  train      a window of steps, all others; `waited` of it for data
  evaluate   the loop was evaluating
  save       the loop was blocked by a save
  preempted  the session was asked to stop
  end        the run is complete; with its `goodput`

A disk that is full or gone never stops a run: what cannot be written is left out.
"""

import json
import logging
import pathlib
import time
from typing import Any

from vitlab import workdir

_log = logging.getLogger(__name__)


def read(folder: pathlib.Path) -> list[dict[str, Any]]:
  """All events of a run, oldest first; lines that a kill has torn are left out."""
  try:
    lines = (folder / workdir.EVENTS).read_bytes().splitlines()
  except OSError:
    return []
  return [event for line in lines if (event := _parse(line))]


class Events:
  """Appends to the events of a run.

  Args:
    folder: The workdir; None writes nothing: for all processes but the first.

  Attributes:
    first: When the run began, in seconds since 1970: the time of its first event, or now.
    reached: The newest step that the session before is known to have done.
  """

  def __init__(self, folder: pathlib.Path | None):
    self._path = folder and folder / workdir.EVENTS
    past = read(folder) if folder else []
    # A line that was cut off must not take the next one with it.
    self._torn = bool(self._path and _is_torn(self._path))
    self.first = past[0]['time'] if past else time.time()
    self.reached = 0
    for event in past:
      begins = event['event'] == 'start'
      self.reached = event['step'] if begins else max(self.reached, event['step'])

  def add(self, event: str, step: int, **facts: int | float) -> None:
    """Writes an event of now."""
    if self._path is None:
      return
    rounded = {name: round(value, 4) for name, value in facts.items()}
    row = dict(time=round(time.time(), 3), event=event, step=step) | rounded
    line = json.dumps(row).encode() + b'\n'
    try:
      with open(self._path, 'ab', buffering=0) as file:
        whole = file.write(b'\n' + line if self._torn else line)
      self._torn = whole < len(line)
    except OSError as error:
      self._torn = True
      _log.debug('events.jsonl cannot be written: %s', error)


def _parse(line: bytes) -> dict[str, Any] | None:
  try:
    event = json.loads(line)
    return event if event['time'] >= 0 and event['step'] >= 0 and event['event'] else None
  except (ValueError, TypeError, KeyError):
    return None


def _is_torn(path: pathlib.Path) -> bool:
  try:
    return path.read_bytes()[-1:] not in (b'', b'\n')
  except OSError:
    return False
