"""How well the boxes lie on those of the data, and some of them, drawn."""

import jax
import numpy as np

from vitlab import registry
from vitlab.predict import trained as trained_lib
from vitlab.report import paint
from vitlab.report.markup import Section, table


def collect(workdirs):
  """Of every run, its first test pictures with the boxes that it finds."""
  return [_drawn(trained_lib.load(str(folder))) for folder in workdirs]


def _drawn(trained):
  data = registry.make('data.sets', trained.config.data.to_dict()).splits['test'].arrays
  image = data['image'][:4].copy()
  detect = jax.jit(trained.task.predict['detected'])
  found = detect(trained.variables, dict(image=image))
  for one, box in zip(image, np.asarray(found['boxes'])):
    x1, y1, x2, y2 = (np.clip(box, 0, 0.99) * len(one)).astype(int)
    one[[y1, y2], x1 : x2 + 1] = one[y1 : y2 + 1, [x1, x2]] = 200
  return [paint.photograph(one) for one in image]


def parts(run, seen=None):
  body = ''.join(f'<img class="pixels" width="96" src="{source}">' for source in seen or ())
  return [_overlap([run]), Section('Boxes', 'What was found in test pictures.', body)]


def compared(runs, seen=()):
  del seen
  return [_overlap(runs)]


def _overlap(runs):
  found = [(run.name, run.details['test']['overlaps']) for run in runs if 'test' in run.details]
  rows = [
    [name, *(f'{np.mean(values > t):.0%}' for t in (0.25, 0.5, 0.75))] for name, values in found
  ]
  body = table(['', '> 0.25', '> 0.5', '> 0.75'], rows, 'Overlap') if rows else ''
  return Section('Overlap', 'How many boxes overlap the true one by more than so much.', body)
