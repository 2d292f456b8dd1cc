"""C1: how much of a row is remembered, by its length."""

import numpy as np

from experiments.claims import drawing, trainings
from experiments.claims.frame import Found, interval, select, values
from vitlab import workdir
from vitlab.sweep.points import seeds

TITLE = 'An RNN forgets long sentences'
SENTENCE = (
  'An RNN squeezes a sentence into one vector and forgets it the longer it is; attention, which '
  'looks back at every word, does not (Bahdanau et al. 2014, arXiv:1409.0473).'
)
PREDICTIONS = (
  'Of the longest fifth of the lengths the RNN says at most half as many rows right as of the '
  'shortest fifth.',
  'With attention, the RNN and the Transformer say at least 95 % of the rows of the longest fifth.',
)
METHOD = (
  'Rows of random digits are to be said backwards, all of it right or not '
  '(configs/seq2seq_reverse.py): an LSTM, the same with additive attention, a Transformer, 64 '
  'wide, equally many steps of equally many rows; decoded greedily, by length of the row.'
)
MODELS = dict(rnn='RNN', attention='RNN with attention', transformer='Transformer')


def run(place):
  changes = place.pick(
    ['duration=20 steps', 'data.max_length=8', 'data.train=500', 'data.test=50'],
    [],
    ['duration=4000 steps', 'data.max_length=40', 'data.train=40000'],
  )
  rows = []
  for model in MODELS:
    spec = f'{trainings.CONFIGS}/seq2seq_reverse.py:model={model}'
    often = [*changes, 'evaluators.test.every=100%', 'checkpoint.every=100%']
    for one in trainings.trained(place, model, spec, seeds(len(place.seeds)), often):
      details = workdir.read_details(one.folder, 'test')
      for length, right in zip(details['length'], details['length_accuracy']):
        rows.append(dict(model=model, seed=one.seed, length=int(length), right=100 * float(right)))
  return rows


def outcome(rows):
  lengths = sorted(values(rows, 'length'))
  fifth = max(1, round(len(lengths) / 5))
  ends = {
    model: (_of(rows, model, lengths[:fifth]), _of(rows, model, lengths[-fifth:]))
    for model in MODELS
  }
  short, long = ends['rnn']
  where = f'lengths {lengths[0]}–{lengths[fifth - 1]} and {lengths[-fifth]}–{lengths[-1]}'
  others = [model for model in MODELS if model != 'rnn']
  return [
    Found(
      0 < short.mean >= 2 * long.mean,
      f'the RNN says {short.text(unit=" %")} and {long.text(unit=" %")} right, of {where}',
    ),
    Found(
      all(ends[model][1].mean >= 95 for model in others),
      ', '.join(f'{MODELS[model]} {ends[model][1].text(unit=" %")}' for model in others),
    ),
  ]


def _of(rows, model, lengths):
  """Right rows of some lengths, over seeds."""
  mine = [row for row in select(rows, model=model) if row['length'] in lengths]
  return interval(
    np.mean([row['right'] for row in select(mine, seed=seed)]) for seed in values(mine, 'seed')
  )


def draw(rows, figure):
  axes = figure.subplots()
  lengths = sorted(values(rows, 'length'))
  for number, (model, label) in enumerate(MODELS.items()):
    drawing.line(axes, lengths, [_of(rows, model, [n]) for n in lengths], number, label)
  axes.set(xlabel='length of the row, digits', ylabel='rows said right, %', ylim=(-2, 104))
  axes.xaxis.set_major_locator(drawing.whole())
  figure.legend(loc='outside upper center', ncols=3)
