"""Where the samples lie."""

from vitlab.report.markup import Section, table


def parts(run, seen=None):
  del seen
  return [_samples([run])]


def compared(runs, seen=()):
  del seen
  return [_samples(runs)]


def _samples(runs):
  rows = [
    [run.name, *(f'{x:.2f}' for x in run.details['test']['samples'].mean(axis=0))]
    for run in runs
    if 'test' in run.details
  ]
  body = table(['', 'x', 'y'], rows, 'Mean of the samples') if rows else ''
  return Section('Samples', 'The mean of the samples of the last evaluation.', body)
