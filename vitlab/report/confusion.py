"""What a classifier takes for what, and how sure it is: figures and parts of a page.

Every figure is None where what it needs is not there, and the page says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitlab.report.figures import finite, floats
from vitlab.report.markup import Section, bar, breakable, figure, number, table
from vitlab.report.run import Run

MATRIX = 32  # classes; a larger confusion matrix is not readable, its worst pairs are
PAIRS = 12

Arrays = Mapping[str, np.ndarray]


def parts(run: Run, names: Sequence[str]) -> list[Section]:
  """Confusion, classes and calibration by every evaluator of a run.

  Args:
    run: Its small files.
    names: Of the classes.
  """
  return [part for one in run.details or [''] for part in _of_evaluator(run, one, names)]


def confusion(arrays: Arrays, class_names: Sequence[str]) -> dict[str, Any] | None:
  """The matrix of counts (row: true class) and its largest entries off the diagonal."""
  counts = arrays.get('confusion')
  if counts is None or not counts.sum():
    return None
  wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
  worst = np.argsort(-wrong, axis=None, kind='stable')[:PAIRS]
  support = _support(arrays)
  return dict(
    counts=counts.tolist() if len(counts) <= MATRIX else None,
    names=named(class_names, len(counts)),
    pairs=[
      dict(truth=int(t), said=int(p), count=int(wrong[t, p]), of=int(support[t]))
      for t, p in zip(*np.unravel_index(worst, wrong.shape))
      if wrong[t, p]
    ],
    total=int(support.sum()),
    wrong=int(support.sum() - np.trace(counts)),
  )


def classes(arrays: Arrays, class_names: Sequence[str]) -> list[dict[str, Any]] | None:
  """Accuracy (recall) and precision of every class, or of the weakest ones of many."""
  if 'class_accuracy' not in arrays:
    return None
  accuracy, support = floats(arrays['class_accuracy']), _support(arrays)
  names = named(class_names, len(accuracy))
  counts, precision = arrays.get('confusion'), [None] * len(accuracy)
  if counts is not None:
    said = counts.sum(axis=0)
    precision = [finite(float(n / s)) if s else None for n, s in zip(np.diagonal(counts), said)]
  shown = range(len(accuracy))
  if len(shown) > MATRIX:
    shown = sorted(shown, key=lambda i: 2.0 if accuracy[i] is None else accuracy[i])[:PAIRS]
  return [
    dict(name=names[i], accuracy=accuracy[i], precision=precision[i], support=int(support[i]))
    for i in shown
  ]


def calibration(arrays: Arrays) -> dict[str, Any] | None:
  """Bins of equal width in confidence, and the expected calibration error (1706.04599)."""
  if 'calibration_count' not in arrays or not arrays['calibration_count'].sum():
    return None
  confidence, accuracy, count = (
    arrays[f'calibration_{name}'] for name in ('confidence', 'accuracy', 'count')
  )
  return dict(
    confidence=floats(confidence),
    accuracy=floats(accuracy),
    count=count.tolist(),
    error=float(np.nansum(np.abs(accuracy - confidence) * count) / count.sum()),
  )


def _of_evaluator(run: Run, evaluator: str, names: Sequence[str]) -> list[Section]:
  arrays = run.details.get(evaluator, {})
  of = f' ({evaluator})' if len(run.details) > 1 else ''
  return [
    _confusion(f'Confusion{of}', confusion(arrays, names)),
    _classes(f'Classes{of}', classes(arrays, names), len(arrays.get('class_count', ()))),
    _calibration(f'Calibration{of}', calibration(arrays)),
  ]


def _confusion(title: str, found: Mapping[str, Any] | None) -> Section:
  note = (
    f'{number(found["wrong"])} of {number(found["total"])} examples are wrong.' if found else ''
  )
  return section(title, found, note, 'Rows are true classes, columns what the model said')


def section(title: str, found: Mapping[str, Any] | None, note: str, axes: str) -> Section:
  """The matrix, where it is not too large, and its largest entries off the diagonal.

  Args:
    title: Of the section.
    found: See `confusion`.
    note: What stands beside both.
    axes: What rows and columns are, where the matrix is shown.
  """
  if found is None:
    return Section(title, 'no confusion matrix was stored', '')
  names, matrix = found['names'], ''
  if found['counts']:
    matrix = figure('confusion', found)
    note += f' {axes}; colour is the share of the row.'
  rows = []
  for pair in found['pairs']:
    truth, said = breakable(names[pair['truth']]), breakable(names[pair['said']])
    rows.append(
      [
        f'{truth} <span class="soft">→</span> {said}',
        f'{number(pair["count"])} <span class="soft">of {number(pair["of"])}</span>',
      ]
    )
  head = ['Most confused: true → said', 'Examples']
  worst = table(head, rows, 'Most confused pairs of classes') if rows else ''
  return Section(title, note, f'<div class="beside">{matrix}{worst}</div>')


def _classes(title: str, found: Sequence[Mapping[str, Any]] | None, total: int) -> Section:
  if found is None:
    return Section(title, 'no accuracy by class was stored', '')
  rows = [
    [
      breakable(one['name']),
      bar(one['accuracy'], percent(one['accuracy'])),
      bar(one['precision'], percent(one['precision'])),
      number(one['support']),
    ]
    for one in found
  ]
  which = f'The {len(found)} weakest of {number(total)}. ' if len(found) < total else ''
  note = f'{which}Recall: how many of a class are found. Precision: how many that are said are.'
  body = table(['', 'Recall', 'Precision', 'Examples'], rows, 'Recall and precision by class')
  return Section(title, note, body)


def _calibration(title: str, bins: Mapping[str, Any] | None) -> Section:
  if bins is None:
    return Section(title, 'no calibration bins were stored', '')
  note = (
    'How often the model is right when it says how sure it is; on the diagonal it knows. '
    f'The mean gap, the expected calibration error, is {100 * bins["error"]:.2f} %.'
  )
  return Section(title, note, figure('calibration', bins))


def percent(share: float | None) -> str:
  return '–' if share is None else f'{100 * share:.1f} %'


def _support(arrays: Arrays) -> np.ndarray:
  """Examples by class; a row of the confusion matrix lacks those whose logits are NaN."""
  return arrays['class_count'] if 'class_count' in arrays else arrays['confusion'].sum(axis=1)


def named(class_names: Sequence[str], count: int) -> list[str]:
  return [str(class_names[i]) if i < len(class_names) else str(i) for i in range(count)]
