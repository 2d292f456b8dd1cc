"""A trained masked language model at work: what may stand where a line has a mask."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from vitlab.data import tokenizers
from vitlab.data.sets.text import PASSAGES
from vitlab.data.texts.labelled import buckets_up_to
from vitlab.data.vocabularies import CONTINUES, SPACES, Vocabulary
from vitlab.errors import UserError
from vitlab.lines import json_line, one_line
from vitlab.predict import DEFAULTS, Options
from vitlab.predict.inputs import read_lines
from vitlab.predict.output import open_output
from vitlab.predict.trained import Trained
from vitlab.pretrained import About

KIND = 'masked_lm'
MASK = '[MASK]'  # in a line, whatever the vocabulary calls its own


class Filling(NamedTuple):
  """What may stand in the place of one mask.

  Attributes:
    piece: As the vocabulary writes it.
    probability: Of it among all tokens, whatever stands at the other masks.
  """

  piece: str
  probability: float


class Filler:
  """A trained masked language model with its vocabulary.

  Args:
    trained: The model.

  Raises:
    UserError: its vocabulary is not known, or has no mask.
  """

  def __init__(self, trained: Trained):
    self.vocabulary: Vocabulary = tokenizers.of_language(trained.facts, trained.workdir)
    if self.vocabulary.special.mask is None:
      raise UserError(f'{trained.workdir}: its vocabulary has no token that hides others')
    self.hidden = self.vocabulary.special.mask
    self.mask = self.vocabulary.pieces[self.hidden]
    self.length = trained.facts['context'] + 1
    self._cut = _cut_anywhere(trained.config.data)
    self._trained, self._guess = trained, jax.jit(self._probabilities)

  def read(self, line: str) -> Int[np.ndarray, ' t']:
    """The tokens of a line, between the two that begin and end a text if it has learned them.

    Raises:
      UserError: it has no mask, or more tokens than the model reads.
    """
    special = self.vocabulary.special
    (found,) = self.vocabulary.encode([line.replace(MASK, self.mask)])
    if special.mask not in found:
      raise UserError(f'no {self.mask}: put it where a word is to be guessed')
    around = (None, None) if self._cut else (special.begin, special.end)
    edges = [[] if token is None else [token] for token in around]
    tokens = np.concatenate([edges[0], found, edges[1]]).astype(np.int32)
    if len(tokens) > self.length:
      raise UserError(
        f'{len(tokens):,} tokens, more than the {self.length:,} that the model reads: shorten it'
      )
    return tokens

  def fill(self, tokens: Int[np.ndarray, ' t'], count: int) -> list[list[Filling]]:
    """The most probable tokens at each mask, best first."""
    places = np.flatnonzero(tokens == self.hidden)
    length = next(n for n in buckets_up_to(self.length) if len(tokens) <= n)
    batch = {key: np.zeros((1, length), np.int32) for key in ('tokens', 'segments')}
    batch['tokens'][0, : len(tokens)], batch['segments'][0, : len(tokens)] = tokens, 1
    pieces = self.vocabulary.pieces
    probabilities = np.asarray(self._guess(self._trained.variables, batch))[places]
    best = np.argsort(-probabilities[:, : len(pieces)], axis=1, kind='stable')[:, :count]
    return [
      [Filling(pieces[token], float(row[token])) for token in tokens]
      for row, tokens in zip(probabilities, best.tolist())
    ]

  def _probabilities(self, variables: Any, batch: Any) -> Float[Array, 't vocab']:
    return jax.nn.softmax(self._trained.task.predict['logits'](variables, batch))[0]


def run(
  trained: Trained,
  paths: Sequence[str],
  options: Options = DEFAULTS,
  make: Callable[[Trained], Filler] = Filler,
) -> None:
  """Fills the masks of lines of files or of standard input, each by its most probable token.

  A line that cannot be filled is named on standard error, and an empty line stands for it.

  Args:
    trained: The model.
    paths: See `vitlab.predict.inputs.read_lines`.
    options: `nbest` is the number of tokens at each mask: from two on each has a line of its own,
      with the number of the line and of the mask and the probability before it, separated by tabs.
    make: What fills them.

  Raises:
    UserError: there is no vocabulary or no mask; the output cannot be written.
  """
  filler, lines, output = make(trained), read_lines(paths), options.output
  with open_output(output) as file:
    for number, line in enumerate(lines, 1):
      found, error = _filled(filler, line, max(1, options.nbest))
      if error:
        print(f'line {number}: {error}', file=sys.stderr)
      text = written(line, filler.mask, [best[0].piece for best in found]) if found else ''
      file.write(json_line(_as_json(line, text, found, error)))
      if options.nbest > 1:
        for mask, best in enumerate(found, 1):
          for one in best:
            print(f'{number}\t{mask}\t{one.probability:.4f}\t{word(one.piece)}')
      else:
        print(one_line(text))


def word(piece: str) -> str:
  """A token without the sign of the space before it."""
  return piece.lstrip(''.join(SPACES)) or piece


def written(line: str, mask: str, pieces: Sequence[str]) -> str:
  """A line with pieces in the place of its masks; one that goes on with a word touches it."""
  first, *rest = line.replace(MASK, mask).split(mask)
  for piece, after in zip(pieces, rest, strict=True):
    if piece.startswith(CONTINUES):
      first = first.rstrip() + piece.removeprefix(CONTINUES) + after
    else:
      first += word(piece) + after
  return first


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of published weights, with the vocabulary that lies beside them.

  Args:
    path: Where the weights are.
    about: What travels with them.
    overrides: Changes of the command line; they change no more than the task.

  Raises:
    UserError: the weights guess no words; the vocabulary has more tokens than they; there is none,
      or it has no mask.
  """
  del overrides
  spec = about.spec
  if spec['head'] != 'words':
    raise UserError(
      f'{path}: these weights guess no words and classify no texts (head={spec["head"]!r})'
      '\nfine-tune them: configs/bert_classify.py'
    )
  facts = about.text(path)
  if facts['special'].get('mask') is None:
    raise UserError(
      f'{path}: no vocabulary with a token that hides others lies beside these weights'
      '\nput their tokenizer.json or vocab.txt there'
    )
  task = dict(name=KIND, vocab_size=None, special=None, next_passage=spec['next_passage'])
  return task, facts | dict(context=spec['max_length'] - 1)


def _cut_anywhere(data: ConfigDict) -> bool:
  """Whether a run has read pieces that begin and end anywhere in a text, and no whole ones."""
  whole = data.get('pack') or data.get('order') == PASSAGES
  return data.get('name') == 'text' and not whole


def _filled(filler: Filler, line: str, count: int) -> tuple[list[list[Filling]], str]:
  """What fills a line, or why nothing does."""
  try:
    return filler.fill(filler.read(line), count), ''
  except UserError as error:
    return [], str(error).partition('\n')[0]


def _as_json(
  line: str, text: str, found: Sequence[Sequence[Filling]], error: str
) -> dict[str, Any]:
  if error:
    return dict(text=line, error=error)
  return dict(text=line, filled=text, masks=[[one._asdict() for one in best] for best in found])
