"""What a person sees while a sweep runs: a live table on a terminal, plain lines elsewhere."""

import pathlib
import sys
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from vitlab import workdir
from vitlab.data import identity
from vitlab.errors import listed
from vitlab.lines import visible
from vitlab.sweep.definition import Definition
from vitlab.sweep.trial import ENDED, FAILED, FINISHED, PRUNED, RUNNING, WAITING, Trial
from vitlab.train import progress

_STYLES = {WAITING: 'dim', RUNNING: 'cyan', FINISHED: 'green', FAILED: 'red', PRUNED: 'yellow'}


class Table:
  """The display of one sweep; a context manager.

  Args:
    definition: What is swept.
    path: The folder of the sweep.
    console: Where to; the default is standard output.
  """

  def __init__(self, definition: Definition, path: pathlib.Path, console: Console | None = None):
    self._definition, self._path = definition, path
    self._console = console or progress.Terminal(highlight=False)
    self._live: Live | None = None
    self._trials: Sequence[Trial] = ()
    self._stopping = False
    self._said: dict[int, str] = {}  # what the lines have said: number -> state and failures

  def __enter__(self) -> 'Table':
    terminal = self._console.is_terminal
    shown = ', '.join(self._definition.keys)
    self._print(Text(visible(self._path.name), style='bold cyan' if terminal else ''))
    self._print(Text(visible(f'  {self._definition.trials} trials over {shown}')))
    if terminal:
      self._live = Live(self, console=self._console, auto_refresh=False)
      self._live.start()
    return self

  def __exit__(self, *_: object) -> None:
    if self._live is not None:
      self._live.stop()

  def show(self, trials: Sequence[Trial], *, stopping: bool = False) -> None:
    """Shows how things are."""
    self._trials, self._stopping = trials, stopping
    if self._live is not None:
      self._live.refresh()
      return
    for each in trials:
      said = f'{each.state} {each.failures}'
      before = self._said.get(each.number, f'{WAITING} 0')
      self._said[each.number] = said
      if said != before:
        self._print(Text(visible(self._line(each))))

  def close(self, trials: Sequence[Trial], page: pathlib.Path | None, *, stopped: bool) -> None:
    """Says the last words: the failures, the best trial, and where the page is."""
    for each in trials:
      if each.state == FAILED:
        self._print(
          Text(visible(f'trial {each.number} failed: {each.error} ({each.log})')), sys.stderr
        )
    if said := _other_data(trials, self._definition.keys):
      self._print(Text(visible(said)), sys.stderr)
    best, metric = self._best(trials), self._definition.metric
    text = Text()
    if stopped:
      text.append('stopped, the same command continues: ', style='bold yellow')
    else:
      text.append('done: ', style='bold green')
    if best is None:
      text.append(f'no trial has reached a {metric} yet')
    else:
      value = progress.value(metric, best.value(metric))
      text.append(f'best {metric} {value}', style='bold')
      text.append(f' in trial {best.number}: {best.shown_command}')
    text.append('  ->  ')
    text.append(str(page or self._path), style='bold cyan')
    self._print(text)

  def __rich__(self) -> RenderableType:
    """The live display: how many, then a line a trial, as many as the terminal has room for."""
    trials, best = self._shown(), self._best(self._trials)
    keys, metric = self._definition.keys, self._definition.metric
    grid = Grid(box=None, padding=(0, 2, 0, 0), header_style='dim')
    for name in ('trial', 'state', *map(_short(keys).get, keys), 'step', metric, 'time', ''):
      right = name in ('trial', 'step', metric, 'time')
      grid.add_column(Text(visible(name)), justify='right' if right else 'left', no_wrap=True)
    for each in trials:
      newest = each.metrics.get(metric)
      reached = '' if newest is None else progress.value(metric, newest)
      remark = Text(visible(each.error or ''), overflow='ellipsis', no_wrap=True)
      if each is best:
        remark = Text('best', style='bold green')
      grid.add_row(
        str(each.number),
        Text(each.state, style=_STYLES[each.state]),
        # As Text: of a plain string the console reads [brackets] as a style.
        *(Text(visible(_value(each.point[key])) if key in each.point else '') for key in keys),
        f'{each.steps:,}' if each.steps else '',
        Text(reached, style='bold' if each is best else ''),
        progress.duration(each.seconds) if each.steps else '',
        remark,
      )
    return Group(Text(self._counts(), style='bold'), grid)

  def _shown(self) -> list[Trial]:
    """All trials if they fit; else what runs, the best ones, and what went wrong."""
    room = max(4, self._console.height - 6)
    if len(self._trials) <= room:
      return list(self._trials)
    sign = 1 if self._definition.goal == 'max' else -1

    def rank(each: Trial) -> tuple[int, float]:
      value = each.value(self._definition.metric)
      order = (RUNNING, FINISHED, FAILED, PRUNED, WAITING).index(each.state)
      return order, 0.0 if value is None else -sign * value

    return sorted(self._trials, key=rank)[:room]

  def _counts(self) -> str:
    counts = Counter(each.state for each in self._trials)
    counts[WAITING] += self._definition.trials - len(self._trials)
    words = [f'{counts[state]} {state}' for state in (RUNNING, *ENDED, WAITING) if counts[state]]
    return ', '.join(words) + (': stopping, the trials save' if self._stopping else '')

  def _line(self, each: Trial) -> str:
    """One trial in words: what has just become of it."""
    point = '  '.join(f'{key} {_value(value)}' for key, value in each.point.items())
    words = [f'trial {each.number}', each.state]
    if each.state == RUNNING and each.failures:
      words[1] = 'failed, trying again'
    if each.state == FINISHED:
      metric = self._definition.metric
      words.append(f'{metric} {progress.value(metric, each.value(metric))}')
      words.append(f'{each.steps:,} steps in {progress.duration(each.seconds)}')
    words.append(point)
    if each.error:
      words.append(each.error)
    if each is self._best(self._trials):
      words.append('best so far')
    return '  '.join(words)

  def _best(self, trials: Sequence[Trial]) -> Trial | None:
    best, metric = None, self._definition.metric
    for each in trials:
      value = each.value(metric)
      if value is not None and self._definition.better(value, best and best.value(metric)):
        best = each
    return best

  def _print(self, text: Text, file: object = None) -> None:
    console = Console(file=file, highlight=False) if file else self._console
    console.print(text, soft_wrap=True)


def _other_data(trials: Sequence[Trial], keys: Sequence[str]) -> str:
  """Which trials cannot be compared, since the data changed while the sweep ran; '' if none."""
  facts = [(each.number, workdir.read_json(each.folder / workdir.FACTS)) for each in trials]
  known = [(n, identity.of_facts(found)) for n, found in facts if isinstance(found, dict)]
  if not known or any(key.partition('.')[0] == 'data' for key in keys):
    return ''
  first, data = known[0]
  others = [(n, found) for n, one in known if (found := identity.changes(data, one))]
  if not others:
    return ''
  numbers = listed([n for n, _ in others])
  return f'other data than in trial {first} were used in {numbers}: {"; ".join(others[0][1])}'


def _short(keys: Sequence[str]) -> dict[str, str]:
  """Key -> its last part, where that says enough."""
  last = Counter(key.rpartition('.')[2] for key in keys)
  names = {key: key.rpartition('.')[2] for key in keys}
  return {key: name if last[name] == 1 else key for key, name in names.items()}


def _value(value: object) -> str:
  return f'{value:.4g}' if isinstance(value, float) else str(value)
