"""A trained classifier of texts at work: lines in, classes out."""

import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from vitlab.data import classes, tokenizers
from vitlab.data.texts.labelled import Row, buckets_up_to, encode, padded
from vitlab.errors import UserError
from vitlab.lines import json_line, one_line
from vitlab.predict import DEFAULTS, Options, Program
from vitlab.predict import labels as labels_lib
from vitlab.predict.inputs import read_lines
from vitlab.predict.labels import Label
from vitlab.predict.output import open_output
from vitlab.predict.trained import Trained
from vitlab.pretrained import About

_log = logging.getLogger(__name__)

KIND = 'text_classification'
BATCH_SIZE = 64
ANY_LENGTH = 512  # tokens of a text, of weights that have learned no places
SHOWN = 60  # characters of a text in the table
_UNCUT = 1 << 40  # tokens


class Reader:
  """Cuts lines into the tokens that a trained classifier reads.

  Args:
    trained: The model.

  Raises:
    UserError: its vocabulary is not known.
  """

  def __init__(self, trained: Trained):
    self._vocabulary, self.max_length = (
      tokenizers.of_language(trained.facts, trained.workdir),
      trained.facts['max_length'],
    )
    self.cut: list[int] = []

  def __call__(self, number: int, line: str) -> Row:
    """Tokens and segments of a text, or of two with a tab between them.

    Args:
      number: Of the line; `cut` then holds it if the text is too long, whose end is left out.
      line: The text.

    Raises:
      UserError: no text, more than two, or one that the vocabulary cannot write.
    """
    text, *others = line.split('\t')
    if len(others) > 1:
      raise UserError(f'{len(others)} tabs: give one text, or two with one tab between them')
    if not line.strip():
      raise UserError('an empty line: give it a text')
    if not all(map(str.strip, (text, *others))):
      raise UserError('one side of the tab is empty: give two texts, or one without a tab')
    pair = others or None
    (row,) = encode(self._vocabulary, [text], pair, _UNCUT)
    if len(row[0]) > self.max_length:
      self.cut.append(number)
      (row,) = encode(self._vocabulary, [text], pair, self.max_length)
    return row


def label(trained: Trained, lines: Sequence[str]) -> Iterator[Label]:
  """Classifies lines one after the other; one that cannot be read gets an error instead.

  What is too long loses its end, as in training, and the log says so once.

  Raises:
    UserError: as `Reader`.
  """
  read, names = Reader(trained), trained.facts['class_names']
  classify, buckets = jax.jit(trained.task.predict['probabilities']), buckets_up_to(read.max_length)
  size = min(BATCH_SIZE, len(lines))
  for start in range(0, len(lines), size):
    part = lines[start : start + size]
    found = [_tried(read, number, line) for number, line in enumerate(part, start + 1)]
    good = [row for row in found if not isinstance(row, str)]
    rows = iter(np.asarray(classify(trained.variables, padded(good, size, buckets))))
    for line, row in zip(part, found):
      if isinstance(row, str):
        yield Label(line, (), row)
      else:
        yield Label(line, labels_lib.top(next(rows), names))
  if read.cut:
    _log.warning(
      '%d of %d lines are longer than the %d tokens that the model reads, and lose their end; '
      'the first is line %d',
      *(len(read.cut), len(lines), read.max_length, read.cut[0]),
    )


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Prints a table of lines and their classes and, if asked for, writes them as JSON lines.

  Lines that cannot be read are named on standard error; the others go on.

  Args:
    trained: The model.
    paths: See `vitlab.predict.inputs.read_lines`; a tab separates the texts of a pair.
    options: Flags; the JSON lines go to `output`.

  Raises:
    UserError: as `read_lines` and `label`; no line can be read; the output cannot be written.
  """
  if options.nbest > 1:
    raise UserError(f'--nbest={options.nbest}: {trained.workdir!r} classifies; see --output=FILE')
  output, lines = options.output, read_lines(paths)
  labels = []
  with open_output(output) as file:
    for number, one in enumerate(label(trained, lines), 1):
      text, *pair = one.given.split('\t', 1)
      given = dict(text=text) | (dict(pair=pair[0]) if pair else {})
      file.write(json_line(labels_lib.as_json(one, given)))
      if one.error:
        print(f'line {number}: {one.error}', file=sys.stderr)
      else:
        labels.append(one._replace(given=_shown(one.given)))
  if not labels:
    raise UserError(f'none of {len(lines)} lines could be read: see above')
  print(labels_lib.table(labels, 'text'))


def exported(trained: Trained) -> Program:
  """int32 [b 2 max_length], tokens and segments -> probabilities: see `vitlab.tasks`."""
  return program(trained, '0 padding, 1 the first text, 2 the second')


def program(trained: Trained, segments: str) -> Program:
  """Tokens and segments -> the task's probabilities, of texts or of their words.

  Args:
    trained: The model.
    segments: What its segments say.
  """
  classify, facts = trained.task.predict['probabilities'], trained.facts

  def function(rows: Any) -> Any:
    return classify(trained.variables, dict(tokens=rows[:, 0], segments=rows[:, 1]))

  known = {key: facts.get(key) for key in ('class_names', 'max_length', 'tokenizer')}
  known |= dict(rows=['tokens', f'segments: {segments}'])
  return Program(function, jax.ShapeDtypeStruct((1, 2, facts['max_length']), np.int32), known)


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of a published classifier, with the vocabulary that lies beside it.

  Args:
    path: Where the weights are.
    about: What travels with them.
    overrides: Changes of the command line; they change no more than the task.

  Raises:
    UserError: the vocabulary has more tokens than the weights; they give one number.
  """
  del overrides
  if about.spec['num_classes'] < 2:
    raise UserError(f'{path}: these weights give one number a text and no classes')
  return task_and_facts(KIND, path, about)


def task_and_facts(kind: str, path: str, about: About) -> tuple[dict[str, Any], dict[str, Any]]:
  """Those of published weights of a kind, which classify texts or their words."""
  count = about.spec['num_classes']
  names = list(about.class_names) or [classes.placeholder(i) for i in range(count)]
  facts = about.text(path) | dict(num_classes=count, class_names=names)
  facts |= dict(max_length=about.spec.get('max_length', ANY_LENGTH))
  return dict(name=kind, num_classes=None), facts


def _tried(read: Reader, number: int, line: str) -> Row | str:
  """A row, or why there is none."""
  try:
    return read(number, line)
  except UserError as error:
    return str(error).partition('\n')[0]


def _shown(line: str) -> str:
  text = one_line(line.replace('\t', ' | '))
  return text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'
