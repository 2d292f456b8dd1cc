"""Goes on with lines of letters."""

import pathlib

import jax
import numpy as np

from vitlab.predict import Program

MORE = 4


def run(trained, inputs, options):
  del options
  letters = trained.facts['letters']
  following = jax.jit(trained.task.predict['following'])
  for path in inputs:
    for line in pathlib.Path(path).read_text().split():
      row = [letters.index(letter) for letter in line]
      for _ in range(MORE):
        batch = dict(tokens=np.array([row], np.int32))
        row.append(int(following(trained.variables, batch)[0]))
      print(''.join(letters[i] for i in row))


def exported(trained):
  following = trained.task.predict['following']
  example = jax.ShapeDtypeStruct((1, trained.facts['length']), np.int32)
  return Program(
    lambda tokens: following(trained.variables, dict(tokens=tokens)),
    example,
    dict(letters=trained.facts['letters']),
  )
