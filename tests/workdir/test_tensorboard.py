"""Entries written by hand are what the library reads."""

import math

import numpy as np
from _helpers.tensorboard import read

from vitlab.workdir import tensorboard


def test_scalars_of_any_size_are_read_back(tmp_path):
  random = np.random.default_rng()
  steps = [0, 1, 127, 128, 16_384, 2**31, 2**40 + 3]
  names = ['a', 'train/loss', 'µ' * 70, 'long' * 50]
  expected = [(step, name, float(np.float32(random.normal()))) for step in steps for name in names]
  entries = [
    tensorboard.scalars(step, {name: x for s, name, x in expected if s == step}) for step in steps
  ]
  (tmp_path / 'events.out.1').write_bytes(tensorboard.header() + b''.join(entries))
  assert read(tmp_path) == (expected, [])


def test_numbers_that_are_not_finite_are_kept(tmp_path):
  values = {'inf': math.inf, 'nan': math.nan, 'huge': 1e300, 'numpy': np.float32(2)}
  entries = [tensorboard.scalars(3, values), tensorboard.restart(1_000_000)]
  (tmp_path / 'events.out.1').write_bytes(tensorboard.header() + b''.join(entries))
  scalars, restarts = read(tmp_path)
  found = {name: x for _, name, x in scalars}
  assert found['inf'] == found['huge'] == math.inf and math.isnan(found['nan'])
  assert found['numpy'] == 2 and restarts == [1_000_000]
