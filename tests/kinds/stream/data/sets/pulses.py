"""A long signal in segments; a batch goes on, row by row, where the one before ended."""

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sources import Arrays


class Lanes(Arrays):
  def order(self, step, batch_size, seed):
    del seed
    length = len(self) // batch_size
    return np.arange(batch_size) * length + step % length


def make(length=6, train=256, test=32):
  generator = np.random.default_rng(0)

  def signal(count, kind):
    pulses = generator.integers(0, 2, count * length).astype(np.float32)
    total, sums = 0.0, []
    for pulse in pulses:
      total = 0.9 * total + pulse
      sums.append(total)
    sums = np.array(sums, np.float32)
    return kind(dict(signal=pulses.reshape(-1, length), target=sums.reshape(-1, length)))

  splits = dict(train=signal(train, Lanes), test=signal(test, Arrays))
  return Dataset(splits, dict(length=length))
