"""Prints samples: as many as the number behind the flags says, else four."""

import jax
import numpy as np


def run(trained, inputs, options):
  del options
  count = int(inputs[0]) if inputs else 4
  batch = dict(index=np.arange(count, dtype=np.int32))
  for x, y in jax.device_get(jax.jit(trained.task.predict['samples'])(trained.variables, batch)):
    print(f'{x:.3f}\t{y:.3f}')
