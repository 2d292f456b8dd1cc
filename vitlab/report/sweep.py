"""The page of a sweep: what its trials reached, where, and how they learned.

It is of one piece with the report of a run, and like it reads nothing but small files: it may be
written at any moment, whatever state the trials are in.
"""

import os
import pathlib
import statistics
import urllib.parse
from collections.abc import Sequence
from typing import Any

from vitlab import metrics, workdir
from vitlab.report import figures, page
from vitlab.report import trials as trials_lib
from vitlab.report.markup import (
  ABSENT,
  Section,
  breakable,
  duration,
  escape,
  figure,
  number,
  plain,
  score,
  spaced,
  table,
  tiles,
)
from vitlab.report.trials import Number, Sweep, Trial

SCRIPTS = ('sweep.js', 'parallel.js', 'scatter.js', 'learning.js')
STYLES = ('sweep.css',)
STATES = ('finished', 'running', 'waiting', 'pruned', 'failed')
POINTS = 60_000  # of all curves together: they share one chart at a time


def write(folder: str | pathlib.Path) -> pathlib.Path:
  """Writes sweep.html into the folder of a sweep, from sweep.json, results.jsonl and the workdirs.

  Returns:
    The path of the page, which is replaced in one step.

  Raises:
    UserError: there is no readable sweep.json.
  """
  sweep = trials_lib.read(folder)
  parts = [_parallel(sweep), _parameters(sweep), _seeds(sweep), _curves(sweep), _table(sweep)]
  scripts, styles = ([pathlib.Path(__file__).with_name(x) for x in y] for y in (SCRIPTS, STYLES))
  text = page.assemble(sweep.name, summary(sweep), parts, scripts, styles)
  return page.save(pathlib.Path(folder) / 'sweep.html', text)


def summary(sweep: Sweep) -> str:
  """The head of the page: what was swept, what came of it, and the command of the best trial."""
  names = [axis.name for axis in trials_lib.axes(sweep)]
  over = f' over {escape(_listed(names))}' if names else ''
  count = f'{len(sweep.trials)} trial{"" if len(sweep.trials) == 1 else "s"}'
  lead = f'{count} of <strong>{breakable(sweep.config)}</strong>{over}'
  best, of = sweep.best, escape(spaced(sweep.metric))
  if best is None:
    lead += f': no trial has a {of} yet.'
  else:
    reached = escape(score(sweep.metric, best.value))
    lead += f'. <strong>{reached}</strong> is the best {of}, in trial {best.number}.'
  if any(trial.state in ('waiting', 'running') for trial in sweep.trials):
    lead += ' <span class="badge">not finished</span>'
  states = [trial.state for trial in sweep.trials]
  shown = [(state, number(states.count(state))) for state in STATES if state in states]
  seconds = sum(trial.seconds or 0 for trial in sweep.trials)
  shown += [('time of all trials', duration(seconds))] if seconds else []
  data = figure('sweep', _data(sweep))
  return f'<p class="lead">{lead}</p>{tiles(shown)}{_best(sweep, names)}{data}'


def _best(sweep: Sweep, names: Sequence[str]) -> str:
  """The point of the best trial and the command that runs it again."""
  best = sweep.best
  if best is None:
    return ''
  point = ''.join(
    f'<div><dt>{breakable(name)}</dt><dd>{breakable(_said(best, key))}</dd></div>'
    for name, key in zip(names, sweep.keys)
  )
  # Words of their own, or a browser breaks the line inside of '--config'.
  words = ' '.join(f'<span>{escape(word)}</span>' for word in best.command.split(' '))
  command = f'<pre class="command">{words}</pre>' if best.command else ''
  return (
    f'<div class="best"><h3>Trial {best.number}, the best</h3>'
    f'<dl class="point">{point}</dl>{command}</div>'
  )


def _data(sweep: Sweep) -> dict[str, Any]:
  """What all figures of the page share; trials are known by their place here, the best is 0."""
  axes, metric = trials_lib.axes(sweep), trials_lib.metric_axis(sweep)
  values = [trial.value for trial in sweep.trials if trial.value is not None]
  place = {value: values.index(value) for value in values}  # equal values, equal colours
  return dict(
    axes=[axis._asdict() for axis in [*axes, metric._replace(name=spaced(sweep.metric))]],
    trials=[
      dict(
        trial=trial.number,
        state=trial.state,
        said=None if trial.value is None else score(sweep.metric, trial.value),
        rank=None if trial.value is None else 1 - place[trial.value] / max(len(values) - 1, 1),
        at=[axis.at(trial.point.get(key)) for axis, key in zip(axes, sweep.keys)] + [trial.value],
        texts=[_said(trial, key) for key in sweep.keys],
        command=trial.command,
        report=_report(trial),
      )
      for trial in sweep.trials
    ],
    means=[
      dict(
        at=[axis.at(one.point[k]) if k in one.point else None for axis, k in zip(axes, sweep.keys)],
        mean=statistics.fmean(one.values),
      )
      for one in trials_lib.groups(sweep)
      if len(one.values) > 1
    ],
  )


def _parallel(sweep: Sweep) -> Section:
  title = 'Parallel coordinates'
  if sweep.best is None or not sweep.keys:
    return Section(title, _nothing(sweep), '')
  note = (
    'A line for each trial, from its parameters to what it reached. Drag along an axis to keep to '
    'the trials of a range, click a line to follow it through the page; the arrow keys go from '
    'the best trial to the next. Where a line has no value it runs along the bottom.'
  )
  return Section(title, note, figure('parallel', {}))


def _parameters(sweep: Sweep) -> Section:
  title = 'Parameters'
  if sweep.best is None or not sweep.keys:
    return Section(title, _nothing(sweep), '')
  better = 'higher' if sweep.goal == 'max' else 'lower'
  note = (
    f'The {escape(spaced(sweep.metric))} ({better} is better) against each parameter. Circles that '
    'are not filled did not finish; what has no value lies at the bottom.'
  )
  if any(len(group.values) > 1 for group in trials_lib.groups(sweep)):
    note += ' A bar is the mean over the seeds.'
  return Section(title, note, figure('scatter', {}))


def _nothing(sweep: Sweep) -> str:
  return 'no trial has a value' if sweep.keys else 'the trials have no parameters'


def _seeds(sweep: Sweep) -> Section:
  found = trials_lib.groups(sweep)
  if not found:
    seeded = any(map(trials_lib.is_seed, sweep.keys))
    return Section('Seeds', 'no trial has finished' if seeded else 'no seed was swept', '')
  shown = [
    (axis.name, key)
    for axis, key in zip(trials_lib.axes(sweep), sweep.keys)
    if not trials_lib.is_seed(key)
  ]
  rows = [
    [
      *([_value(group.point[key]) for _, key in shown] or ['all']),
      _number(len(group.values)),
      _score(sweep, statistics.fmean(group.values), bold=group is found[0]),
      f'± {_score(sweep, statistics.stdev(group.values))}' if len(group.values) > 1 else ABSENT,
      _score(sweep, min(group.values)),
      _score(sweep, max(group.values)),
    ]
    for group in found
  ]
  head = [*([breakable(name) for name, _ in shown] or ['']), 'Seeds', 'Mean', 'Spread']
  note = f'The {escape(spaced(sweep.metric))} of finished trials that differ in their seed alone; '
  note += 'the spread is the sample standard deviation.'
  return Section('Seeds', note, table([*head, 'Lowest', 'Highest'], rows, 'Means over the seeds'))


def _curves(sweep: Sweep) -> Section:
  """All metrics over the steps; the one that was swept for comes first."""
  rows = [workdir.read_metrics(trial.path) for trial in sweep.trials]
  keys = metrics.ordered(key for some in rows for row in some for key in row)
  keys = [key for key in keys if key != 'step' and not key.startswith('time/')]
  keys.sort(key=lambda key: key != sweep.metric)
  if not keys:
    return Section('Learning curves', 'no trial has rows in metrics.jsonl', '')
  limit = max(24, min(400, POINTS // (len(keys) * len(rows))))
  charts = []
  for key in keys:
    series = []
    for place, some in enumerate(rows):
      points = [(row['step'], row[key]) for row in some if key in row]
      series += [dict(trial=place, **figures.thin(points, limit))] if points else []
    charts.append(dict(metric=spaced(key), series=series))
  note = (
    'All trials over their steps, the five best in bold. Point at a line to name its trial; '
    'click to follow it through the page.'
  )
  return Section('Learning curves', note, figure('learning', charts))


def _table(sweep: Sweep) -> Section:
  if not sweep.trials:
    return Section('Trials', 'results.jsonl has no lines', '')
  trials, axes = sweep.trials, trials_lib.axes(sweep)
  columns = [
    ('Trial', [_pick(place, trial) for place, trial in enumerate(trials)]),
    ('State', [_state(trial.state) for trial in trials]),
  ]
  columns += [
    (breakable(axis.name), [_value(t.point[key]) if key in t.point else ABSENT for t in trials])
    for axis, key in zip(axes, sweep.keys)
  ]
  metric = [_score(sweep, trial.value, bold=trial is sweep.best) for trial in trials]
  columns += [
    (escape(spaced(sweep.metric)), metric),
    ('Steps', [_number(trial.steps) for trial in trials]),
    ('Time', [_number(trial.seconds, duration) for trial in trials]),
    ('Attempts', [_number(trial.attempts) for trial in trials]),
    ('Report', [_link(trial) for trial in trials]),
  ]
  if any(trial.error for trial in trials):
    errors = [f'<code>{escape(trial.error)}</code>' if trial.error else ABSENT for trial in trials]
    columns.append(('Error', errors))
  head, cells = zip(*columns)
  note = 'The best first; click a heading to sort, a trial to follow it through the page.'
  body = table(head, zip(*cells), 'Trials')
  return Section('Trials', note, f'<div class="trials">{body}</div>')


def _pick(place: int, trial: Trial) -> str:
  button = f'<button class="pick" type="button" data-trial="{place}">{trial.number}</button>'
  return f'<data value="{trial.number}">{button}</data>'


def _report(trial: Trial) -> str | None:
  """Where the trial's own report lies, seen from the sweep's folder."""
  if not (trial.path / workdir.REPORT).exists():
    return None
  return urllib.parse.quote(os.path.relpath(trial.path / workdir.REPORT, trial.folder))


def _link(trial: Trial) -> str:
  report = _report(trial)
  return ABSENT if report is None else f'<a href="{escape(report)}">report</a>'


def _state(state: str) -> str:
  kind = f' {state}' if state in STATES else ''
  return f'<span class="state{kind}">{escape(state)}</span>'


def _score(sweep: Sweep, value: Number | None, bold: bool = False) -> str:
  if value is None:
    return ABSENT
  text = f'<data value="{value!r}">{escape(score(sweep.metric, value))}</data>'
  return f'<b>{text}</b>' if bold else text


def _value(value: Any) -> str:
  """A value of a config, exactly."""
  text = f'<code>{escape(plain(value))}</code>'
  return text if trials_lib.finite(value) is None else f'<data value="{value!r}">{text}</data>'


def _number(value: Number | None, say: Any = number) -> str:
  return ABSENT if value is None else f'<data value="{value!r}">{escape(say(value))}</data>'


def _said(trial: Trial, key: str) -> str:
  return plain(trial.point[key]) if key in trial.point else '–'


def _listed(words: Sequence[str]) -> str:
  """'a, b and c'."""
  return ' and '.join([', '.join(words[:-1])] * (len(words) > 1) + list(words[-1:]))
