"""How surprised the model is at each place of a row."""

from vitlab.report.markup import Section, table


def parts(run, seen=None):
  del seen
  return [_surprise([run])]


def compared(runs, seen=()):
  del seen
  return [_surprise(runs)]


def _surprise(runs):
  rows = [
    [run.name, *(f'{loss:.2f}' for loss in run.details['test']['by_place'])]
    for run in runs
    if 'test' in run.details
  ]
  head = ['', *map(str, range(1, len(rows[0]) if rows else 1))]
  body = table(head, rows, 'Loss by place') if rows else ''
  return Section('Surprise by place', 'The mean loss of each place of a row.', body)
