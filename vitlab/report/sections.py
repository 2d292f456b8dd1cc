"""The parts of the page of one run; an empty body means that the run does not have it."""

from collections.abc import Sequence
from typing import Any

from vitlab import baselines, metrics, workdir
from vitlab.data import identity
from vitlab.report import drawers, figures
from vitlab.report.markup import (
  ABSENT,
  Section,
  duration,
  escape,
  figure,
  number,
  pairs,
  score,
  spaced,
  table,
  tiles,
)
from vitlab.report.run import Run

TILES = (
  ('examples per second', 'examples_per_second', number),
  ('total time', 'seconds', duration),
  ('to the first step', 'seconds_to_first_step', duration),
  ('waiting for data', 'data_wait', lambda share: f'{100 * share:.1f} %'),
  ('goodput', 'goodput', lambda share: f'{100 * share:.0f} %'),
  ('parameters', 'parameters', number),
)


def one(run: Run, seen: Any = None) -> list[Section]:
  """The parts of the page of one run.

  Args:
    run: Its small files.
    seen: What the drawer of its kind of learning has collected of it.
  """
  drawer = drawers.find([run])
  own = drawer.parts(run, seen) if drawer else []
  return [_results(run), curves([run]), *own, _config(run), _provenance(run)]


def summary(run: Run) -> str:
  """The head of the page: one sentence and the numbers that everybody asks for."""
  last, result = run.last, run.result
  metric = _primary(run)
  found = []
  if metric:
    value = escape(score(metric, last[metric]))
    found.append(f'<strong>{value}</strong> {escape(spaced(metric))}')
  step = result.get('steps', run.rows[-1]['step'] if run.rows else None)
  if step is not None:
    found.append(f'after {number(step)} steps')
  if 'seconds' in result:
    found.append(f'in {duration(result["seconds"])}')
  lead = f'{escape(_what(run))} {" ".join(found) or "nothing measured yet"}.'
  if not result:
    lead += ' <span class="badge">not finished</span>'
  values = {key.removeprefix('time/'): value for key, value in last.items()} | result
  shown = [(label, say(values[key])) for label, key, say in TILES if _is_number(values.get(key))]
  less = baselines.below(result)
  less = less and f'<p class="lead worse">{escape(less)}</p>'
  return f'<p class="lead">{lead}</p>{less}{tiles(shown)}'


def _what(run: Run) -> str:
  """'vit S/16 on digits:'."""
  model, data = (run.config.get(part) or {} for part in ('model', 'data'))
  model = ' '.join(str(model[key]) for key in ('name', 'variant') if model.get(key))
  words = [word for word in (model, str(data.get('name') or '')) if word]
  return f'{" on ".join(words)}:' if words else ''


def _primary(run: Run) -> str:
  """The metric that stands for the run."""
  wanted = (run.config.get('checkpoint') or {}).get('best')
  return next((key for key in [wanted, *run.last] if key in run.last), '')


def _results(run: Run) -> Section:
  keys = [key.rpartition('/') for key in run.last if not key.startswith('time/')]
  evaluators = list(dict.fromkeys(evaluator for evaluator, _, _ in keys))
  head = ['']
  for name in evaluators:
    head += [escape(name or 'value')] + [f'best {escape(name)}'] * (name != 'train')
  rows = []
  for metric in dict.fromkeys(metric for _, _, metric in keys):
    cells = [escape(spaced(metric))]
    for name in evaluators:
      key = f'{name}/{metric}' if name else metric
      cells.append(escape(score(key, run.last[key])) if key in run.last else ABSENT)
      cells += [_best(run, key)] * (name != 'train')
    rows.append(cells)
  note = 'The last value of everything that was measured, and the best on held-out data.'
  body = table(head, rows, 'Final metrics') if rows else ''
  if simple := baselines.line(run.result):
    body += f'<p>{escape(simple)}</p>'
  return Section('Results', note if rows else 'no metrics yet', body)


def _best(run: Run, key: str) -> str:
  """The best value of a metric and its step, of equals the latest, as of the checkpoints."""
  found = [(row[key], row['step']) for row in run.rows if isinstance(row.get(key), int | float)]
  if len(found) < 2:
    return ABSENT
  smallest = metrics.smaller_is_better(key)
  value, step = min(found, key=lambda pair: (pair[0] if smallest else -pair[0], -pair[1]))
  return f'{escape(score(key, value))} <span class="soft">at {number(step)}</span>'


def curves(runs: Sequence[Run]) -> Section:
  """All metrics over the steps."""
  charts = figures.curves(runs)
  if not charts:
    return Section('Curves', 'metrics.jsonl has no rows', '')
  note = (
    'Move over a chart, or focus it and use the arrow keys, to read all charts at one step. '
    'Click a name to hide or show its lines.'
  )
  data = dict(runs=[run.name for run in runs], charts=charts)
  return Section('Curves', note, figure('curves', data))


def _config(run: Run) -> Section:
  groups: dict[str, dict[str, Any]] = {'': {}}
  for key, value in workdir.flatten(run.config).items():
    group, dot, name = key.partition('.')
    groups.setdefault(group if dot else '', {})[name if dot else key] = value
  body = ''.join(
    f'<div class="group"><h3>{escape(group or "run")}</h3>{pairs(leaves)}</div>'
    for group, leaves in groups.items()
    if leaves
  )
  note = 'Everything that was asked for.' if body else 'config.json is not there'
  return Section('Config', note, f'<div class="groups">{body}</div>' if body else '')


def _provenance(run: Run) -> Section:
  found = facts(run)
  note = 'What it takes to get the same parameters again.' if found else 'result.json is not there'
  body = f'<div class="groups">{pairs(found)}</div>' if found else ''
  return Section('Provenance', note, body)


def facts(run: Run) -> dict[str, Any]:
  """Seed, data, commit, versions, device, fingerprint, time: everything but the metrics."""
  rest = {key: value for key, value in run.result.items() if key not in ('metrics', 'baselines')}
  seed = {'seed': run.config['seed']} if 'seed' in run.config else {}
  data = {key: run.facts[key] for key in (identity.SPLITS,) if key in run.facts}
  leaves = workdir.flatten(data | rest)
  return seed | {k: number(v) if isinstance(v, float) else v for k, v in leaves.items()}


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float)
