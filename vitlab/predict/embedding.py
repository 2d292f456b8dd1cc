"""Trained word vectors at work: the neighbours of words, and of sums and differences of words."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vitlab.errors import UserError
from vitlab.lines import json_line, one_line
from vitlab.ops.analogies import nearness, unit
from vitlab.predict import DEFAULTS, Options, Program
from vitlab.predict.inputs import read_lines
from vitlab.predict.output import open_output
from vitlab.predict.trained import Trained
from vitlab.pretrained import About

NEAREST = 10  # neighbours that are said unless --nbest says how many


class Answer(NamedTuple):
  """What becomes of one line.

  Attributes:
    line: 'dog', or 'king - man + woman'.
    neighbours: (word, cosine), the nearest first; none of the words of the line.
    error: Why there are none, or ''.
  """

  line: str
  neighbours: Sequence[tuple[str, float]] = ()
  error: str = ''


def vectors(trained: Trained) -> Float[np.ndarray, 'words d']:
  """Of all words, in the order of the vocabulary."""
  every = jnp.arange(len(trained.facts['vocabulary']))
  return np.asarray(jax.jit(trained.task.predict['features'])(trained.variables, {'tokens': every}))


def answer(trained: Trained, lines: Sequence[str], count: int = NEAREST) -> Iterator[Answer]:
  """The neighbours of what each line says: words with a + or a - between them, and spaces.

  Words are looked up as they are written, then in lower case.
  """
  words = trained.facts['vocabulary']
  number = {word: i for i, word in enumerate(words)}
  units = unit(vectors(trained))
  for line in lines:
    try:
      plus, minus = _parse(line, number)
    except UserError as error:
      yield Answer(line, error=str(error))
      continue
    near = nearness(units, np.array([plus], np.int64), np.array([minus], np.int64))[0]
    near[plus + minus] = -np.inf
    best = np.argsort(-near)[: min(count, len(words) - len({*plus, *minus}))]
    yield Answer(line, [(words[i], float(near[i])) for i in best])


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Prints the neighbours of each line of files, or of standard input; writes JSON lines.

  A line that cannot be answered is named on standard error, and an empty one stands for it.

  Raises:
    UserError: the output cannot be written.
  """
  lines = read_lines(paths)
  count = options.nbest if options.nbest > 1 else NEAREST
  with open_output(options.output) as file:
    for number, one in enumerate(answer(trained, lines, count), 1):
      if one.error:
        print(f'line {number}: {one.error}', file=sys.stderr)
      print(', '.join(f'{one_line(word)} {cosine:.3f}' for word, cosine in one.neighbours))
      file.write(json_line(_as_json(one)))


def exported(trained: Trained) -> Program:
  """The table as a program: numbers of words -> vectors."""
  look_up = trained.task.predict['features']
  return Program(
    lambda tokens: look_up(trained.variables, {'tokens': tokens}),
    jax.ShapeDtypeStruct((1,), np.int32),
    {'vocabulary': trained.facts['vocabulary']},
  )


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of published word vectors, with which nothing is learned."""
  del path, overrides
  facts = dict(vocab_size=about.spec['vocab_size'], vocabulary=list(about.vocabulary))
  return dict(name='embedding'), facts


def _parse(line: str, number: dict[str, int]) -> tuple[list[int], list[int]]:
  """The numbers of the words that are added, and of those that are taken away."""
  fields = line.split()
  words, signs = fields[::2], ['+', *fields[1::2]]
  if not words or len(words) != len(signs) or not {*signs} <= {'+', '-'}:
    raise UserError(f'{line!r}: expected a word, or words with + or - between them')
  found = [number.get(word, number.get(word.lower())) for word in words]
  if None in found:
    unknown = [word for word, place in zip(words, found) if place is None]
    raise UserError(f'not in the vocabulary: {", ".join(unknown)}')
  pairs = list(zip(signs, found))
  return [n for sign, n in pairs if sign == '+'], [n for sign, n in pairs if sign == '-']


def _as_json(one: Answer) -> dict[str, Any]:
  found = [dict(word=word, cosine=cosine) for word, cosine in one.neighbours]
  return dict(line=one.line, neighbours=found) | (dict(error=one.error) if one.error else {})
