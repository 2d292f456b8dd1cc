"""Points around (2, -1)."""

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sources import Arrays


def make(train=256, test=64, centre=(2.0, -1.0)):
  generator = np.random.default_rng(0)

  def points(count):
    drawn = generator.normal(centre, 0.3, (count, 2)).astype(np.float32)
    return Arrays(dict(points=drawn))

  return Dataset(dict(train=points(train), test=points(test)), dict(centre=list(centre)))
