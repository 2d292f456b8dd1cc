"""A trained tagger of words at work: lines in, the same lines with a tag behind each word out."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from vitlab import registry
from vitlab.data import tokenizers
from vitlab.data.texts import tagged
from vitlab.data.texts.labelled import buckets_up_to, padded
from vitlab.errors import UserError
from vitlab.lines import json_line, one_line
from vitlab.predict import DEFAULTS, Options, Program
from vitlab.predict.inputs import read_lines
from vitlab.predict.output import open_output
from vitlab.predict.trained import Trained
from vitlab.pretrained import About

text_classification = registry.module('predict', 'text_classification')
KIND = 'token_classification'
BATCH_SIZE = 64


class Line(NamedTuple):
  """A line with what the model says of its words.

  Attributes:
    words: What stands between its spaces.
    tags: The likeliest of each; empty if the line has an error.
    probabilities: Theirs.
    error: Why nothing can be said, or ''.
  """

  words: Sequence[str]
  tags: Sequence[str] = ()
  probabilities: Sequence[float] = ()
  error: str = ''


class Tagger:
  """A trained model of tags with its vocabulary.

  Args:
    trained: The model.

  Raises:
    UserError: its vocabulary is not known.
  """

  def __init__(self, trained: Trained):
    self._vocabulary = tokenizers.of_language(trained.facts, trained.workdir)
    self._length, self._names = trained.facts['max_length'], trained.facts['class_names']
    self._variables = trained.variables
    self._classify = jax.jit(trained.task.predict['probabilities'])

  def __call__(self, lines: Sequence[str]) -> Iterator[Line]:
    """Tags lines one after the other; one that cannot be read gets an error instead.

    A line that is longer than the model reads at once is read in parts.
    """
    size = min(BATCH_SIZE, len(lines))
    for start in range(0, len(lines), size):
      texts = [line.split() for line in lines[start : start + size]]
      cut = [self._tried(words) for words in texts]
      rows = [row for parts in cut if not isinstance(parts, str) for row in parts]
      found = self._probabilities(rows, size)
      for words, parts in zip(texts, cut):
        if isinstance(parts, str):
          yield Line(words, error=parts)
          continue
        rows = np.concatenate([next(found) for _ in parts])
        best = rows.argmax(axis=1)
        said = rows[np.arange(len(best)), best].tolist()
        yield Line(words, [self._names[i] for i in best], said)

  def _tried(self, words: list[str]) -> list[tuple[np.ndarray, np.ndarray]] | str:
    """Tokens and where words begin, of each part of a line; or why there are none."""
    if not words:
      return 'an empty line: give it a text'
    try:
      (rest,) = tagged.pieces(self._vocabulary, [words])
    except UserError as error:
      return str(error).partition('\n')[0]
    parts, room = [], self._length - sum(x is not None for x in self._vocabulary.special.around)
    while rest:
      count = tagged.fitting(rest, room)
      tokens, firsts = tagged.row(self._vocabulary, rest[:count], [0] * count, self._length)
      parts.append((tokens, np.flatnonzero(firsts == 0)))
      rest = rest[count:]
    return parts

  def _probabilities(
    self, rows: Sequence[tuple[np.ndarray, np.ndarray]], size: int
  ) -> Iterator[Float[np.ndarray, 'words classes']]:
    """Of the words of each row; rows are filled up to one of a few shapes, each compiled once."""
    for start in range(0, len(rows), size):
      part = rows[start : start + size]
      last = self._vocabulary.class_last
      given = [(tokens, tagged.segments(tokens, last)) for tokens, _ in part]
      batch = padded(given, size, buckets_up_to(self._length))
      for one, (_, firsts) in zip(np.asarray(self._classify(self._variables, batch)), part):
        yield one[firsts]


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Prints every line with the tag of each word behind it: Ada/B-PER writes/O.

  A line that cannot be read is named on standard error, and an empty one stands for it.

  Args:
    trained: The model.
    paths: See `vitlab.predict.inputs.read_lines`.
    options: Flags; lines of JSON go to `output`.

  Raises:
    UserError: as `read_lines` and `Tagger`; the output cannot be written.
  """
  if options.nbest > 1:
    raise UserError(f'--nbest={options.nbest}: {trained.workdir!r} tags words; see --output=FILE')
  tag, lines = Tagger(trained), read_lines(paths)
  with open_output(options.output) as file:
    for number, line in enumerate(tag(lines), 1):
      known = dict(error=line.error) if line.error else {}
      rows = dict(words=line.words, tags=line.tags, probabilities=line.probabilities)
      file.write(json_line(rows | known))
      if line.error:
        print(f'line {number}: {line.error}', file=sys.stderr)
      print(one_line(' '.join(map('/'.join, zip(line.words, line.tags)))))


def exported(trained: Trained) -> Program:
  """int32 [b 2 max_length], tokens and segments -> probabilities of each token, b t classes."""
  return text_classification.program(trained, '0 padding, 1 the text')


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of a published tagger, with the vocabulary that lies beside it.

  Args:
    path: Where the weights are.
    about: What travels with them.
    overrides: Changes of the command line; they change no more than the task.

  Raises:
    UserError: the vocabulary has more tokens than the weights.
  """
  del overrides
  return text_classification.task_and_facts(KIND, path, about)
