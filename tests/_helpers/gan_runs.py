"""The small files of a run of a GAN."""

import numpy as np

from vitlab.evaluators import frechet
from vitlab.report.run import Run

CONFIG = {'task': {'name': 'gan'}}
EVIL = '</script><b>'
FACTS = {'class_names': ['cat', 'dog', EVIL, '1']}
ROWS = [
  {'step': 10, 'train/discriminator_loss': 0.5, 'train/generator_loss': 1.5, 'test/frechet': 4.0}
  | {'test/frechet_floor': 0.25, 'test/kid': 0.5, 'test/kid_floor': 0.125},
  {'step': 20, 'train/discriminator_loss': 0.75, 'train/generator_loss': 1.25, 'test/frechet': 2.0}
  | {'test/frechet_floor': 0.25, 'test/kid': 0.375, 'test/kid_floor': 0.125}
  | {'test/precision': 0.5, 'test/recall': 0.25, 'test/recognised': 0.9},
]


def details():
  """Of the evaluator itself, so that no name in it is another here."""
  draws = np.random.default_rng(0)
  rows = dict(features=draws.normal(size=(20, 30)), sample_features=draws.normal(size=(20, 30)))
  rows['sample_logits'] = np.eye(4)[np.r_[np.arange(18) % 4, 0, 0]]
  batch = dict(index=np.arange(20), label=np.arange(20) % 4)

  def predictions(name, split):
    del split
    return [(rows[name], batch)]

  made = frechet.make(encoder='resnet <1>', resize='bicubic', floor_split='test')(predictions)
  return {name: np.asarray(x) for name, x in made.details.items()}


def run():
  return Run('game', CONFIG, ROWS, {}, FACTS, {'test': details()})
