"""What a person sees while a run trains: a live display on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from vitlab import baselines
from vitlab.lines import visible
from vitlab.metrics import leading, percent


def duration(seconds: float) -> str:
  """Seconds for people: 0:07, 12:30, 3:05:00."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'


def value(name: str, number: float | None) -> str:
  """A metric for people: accuracies and other shares in percent, the rest in four digits."""
  if number is None:
    return 'undefined'
  return percent(name, number) or (f'{number:,.0f}' if abs(number) >= 1000 else f'{number:.4g}')


def line(metrics: Mapping[str, float | None]) -> str:
  """Metrics on one line: 'loss 0.71  accuracy 93.10 %'."""
  return '  '.join(f'{name} {number}' for name, number in _ordered(metrics))


class Terminal(Console):
  """Standard output; that nobody reads it is for the launcher to answer."""

  def on_broken_pipe(self) -> None:
    raise  # called where a BrokenPipeError is handled; rich's own exits with 1


class Progress:
  """The display of one run; a context manager.

  Args:
    title: the name of the run.
    total_steps: where it ends.
    step: where it starts or continues.
    header: (label, text) pairs printed once above the display.
    unit: what the examples are.
    quiet: shows nothing: for all processes but the first.
    console: where to; the default is standard output.
  """

  def __init__(
    self,
    title: str,
    total_steps: int,
    *,
    step: int = 0,
    header: Sequence[tuple[str, str]] = (),
    unit: str = 'examples',
    quiet: bool = False,
    console: Console | None = None,
  ):
    self._title, self._total, self._step, self._header = title, total_steps, step, header
    self._unit = unit
    self._console = console or Terminal(quiet=quiet, highlight=False, soft_wrap=False)
    self._live: Live | None = None
    self._status: str | None = None
    self._noted: set[str] = set()
    self._lines: dict[str, tuple[Mapping, str]] = {}  # label -> newest metrics, what else to say
    self._first: tuple[float, int] | None = None  # when and where the first finished step was

  def __enter__(self) -> 'Progress':
    terminal = self._console.is_terminal
    self._print(Text(visible(self._title), style='bold cyan' if terminal else ''))
    for label, text in self._header:
      self._print(Text.assemble((f'  {label:8}', 'dim'), f' {visible(text)}'))
    if terminal:
      self._live = Live(self, console=self._console, refresh_per_second=5)
      self._live.start()
    return self

  def __exit__(self, *_: object) -> None:
    if self._live is not None:
      self._live.stop()

  def advance(self, step: int) -> None:
    """A step has been handed to the devices; costs nothing."""
    self._step = step

  def trained(self, step: int, metrics: Mapping[str, float | None], speed: Mapping[str, float]):
    """Shows the training metrics up to a step and its speed.

    Args:
      step: the number of finished steps.
      metrics: train/loss, ...
      speed: examples_per_second and data_wait (share of the time).
    """
    if self._first is None:
      self._first = (time.perf_counter(), step)
    training = {name: x for name, x in metrics.items() if name.startswith('train/')}
    left = self._left()
    in_words = f'{duration(left)} left' if left and self._live is None else ''
    self._show('train', training, step, (*_speed(speed, self._unit), in_words))

  def evaluated(self, step: int, name: str, metrics: Mapping[str, float | None]) -> None:
    """Shows what an evaluator found at a step."""
    self._show(name, metrics, step, () if self._live is None else (f'at step {step:,}',))

  def note(self, text: str) -> None:
    """Prints a line that stays, once."""
    if text not in self._noted:
      self._noted.add(text)
      self._print(Text(visible(text)))

  @contextlib.contextmanager
  def doing(self, status: str) -> Iterator[None]:
    """Says what the run is doing instead of stepping, for example 'evaluating test'."""
    before, self._status = self._status, status
    try:
      yield
    finally:
      self._status = before

  def __rich__(self) -> RenderableType:
    """The live display: the bar, then a line each for training and the evaluators."""
    share = self._step / self._total if self._total else 1.0
    left = self._left()
    status: RenderableType = Text(f'{duration(left)} left' if left else '', style='cyan')
    if self._status:
      status = Spinner('dots', Text(self._status, style='yellow'), style='yellow')
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
      ProgressBar(total=self._total, completed=self._step, width=40, complete_style='cyan'),
      Text(f'{self._step:,}/{self._total:,}  {100 * share:.0f} %', style='bold'),
      status,
    )
    lines = Table.grid(padding=(0, 3, 0, 0))
    for label, (metrics, more) in self._lines.items():
      cells = {
        name: Text.assemble((f'{name} ', 'dim'), number, no_wrap=True)
        for name, number in _ordered(metrics)
      }
      aligned = [cells.pop(name, Text()) for name in ('loss', 'accuracy')]
      rest = Text('   ').join([Text(more), *cells.values()])
      rest.no_wrap, rest.overflow = True, 'ellipsis'
      lines.add_row(Text(f'  {label}', style='cyan', no_wrap=True), *aligned, rest)
    return Padding(Group(bar, lines) if self._lines else bar, (1, 0))

  def _show(
    self, label: str, metrics: Mapping[str, float | None], step: int, more: Sequence[str]
  ) -> None:
    if self._live is not None:
      self._lines[label] = (metrics, '   '.join(filter(None, more)))
    else:
      words = (f'step {step}/{self._total}', f'{label} {line(metrics)}', *filter(None, more))
      self._print(Text('  '.join(words)))

  def _print(self, text: Text) -> None:
    self._console.print(text, soft_wrap=not self._console.is_terminal)

  def _left(self) -> float | None:
    if self._first is None:
      return None
    start, first = self._first
    done = self._step - first
    return (time.perf_counter() - start) / done * (self._total - self._step) if done > 0 else None


def closing(result: Mapping[str, Any], folder: str, *, before: bool = False) -> None:
  """Prints the last line of a run: what was reached and where it lies.

  Before it, whether that is less than what takes no training.

  Args:
    result: as in result.json.
    folder: the workdir.
    before: the run had been finished before this session.
  """
  console = Terminal(highlight=False)
  if less := baselines.below(result):
    console.print(Text(less, style='yellow'), soft_wrap=True)
  metrics = result['metrics']
  reached = '  '.join(f'{name} {value(name, metrics[name])}' for name in leading(metrics))
  text = Text()
  text.append('already finished: ' if before else 'done: ', style='bold green')
  text.append(reached or 'trained', style='bold')
  text.append(f'  after {result["steps"]:,} steps in {duration(result["seconds"])}')
  if 'goodput' in result:  # not in those of older runs
    text.append(f', goodput {100 * result["goodput"]:.0f} %')
  text.append('  ->  ')
  text.append(visible(str(folder)), style='bold cyan')
  console.print(text, soft_wrap=not console.is_terminal)


def _speed(speed: Mapping[str, float], unit: str) -> tuple[str, ...]:
  if not speed:
    return ()
  rate, wait = speed['examples_per_second'], 100 * speed['data_wait']
  return f'{rate:,.0f} {unit}/s', f'{wait:.1f} % waiting for data'


def _ordered(metrics: Mapping[str, float | None]) -> list[tuple[str, str]]:
  """(name, number) without train/; loss and accuracy first; what nobody watches is left out."""
  short = {name.rpartition('/')[2]: name for name in metrics}
  first = [name for name in ('loss', 'accuracy') if name in short]
  rest = [n for n in short if n not in first and not n.endswith(('grad_norm', 'learning_rate'))]
  return [(n.replace('_', ' '), value(n, metrics[short[n]])) for n in first + rest]
