"""Rows of tokens for a language model: windows, lanes, documents, passages, a sliding window.

A row holds `tokens` [t + 1]: a model reads all but the last, and its targets are all but the first.
A row of several documents says which token is whose in `segments` [t + 1]: 1, 2, ..., and 0 for
padding. A row of an evaluation says in `scored` [t] which targets count, one of a lane in `restart`
whether the text begins with it.
"""

import functools
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from vitlab.data import Example, Source
from vitlab.data.identity import digest
from vitlab.data.order import draws
from vitlab.data.texts.encoded import Encoded
from vitlab.data.texts.packing import Packing


class _Rows:
  """Rows of an encoded split.

  Attributes:
    tokens: All of the split, where they lie on the disk.

  Args:
    encoded: The split.
    context: t.
  """

  def __init__(self, encoded: Encoded, context: int):
    self._encoded, self._context = encoded, context

  @property
  def tokens(self) -> np.ndarray:
    return self._encoded.tokens

  def digest(self) -> str:
    """Of the checksum of the tokens, and of how they are dealt out."""
    about = {k: v for k, v in sorted(vars(self).items()) if isinstance(v, (int, str))}
    return digest(f'{type(self).__name__} {self._encoded.checksum} {len(self._encoded)} {about}')


class _Cut(_Rows):
  """Rows that are cut out of the text as they stand there, `_stride` tokens apart."""

  _stride: int

  def __len__(self) -> int:
    return (len(self._encoded) - 1 - self._context) // self._stride + 1

  def __getitem__(self, index: int) -> Example:
    return {key: rows[0] for key, rows in self.gather(np.array([range(len(self))[index]])).items()}

  def gather(self, numbers: Int[np.ndarray, ' b']) -> dict[str, Int[np.ndarray, 'b t']]:
    places = (numbers * self._stride)[:, None] + np.arange(self._context + 1)
    return dict(tokens=self.tokens[places].astype(np.int32))


class Windows(_Cut):
  """A window at every place of a text; in training at random, each place equally likely."""

  _stride = 1

  def order(self, step: int, batch_size: int, seed: int) -> Int[np.ndarray, ' b']:
    return draws(step * batch_size + np.arange(batch_size), len(self), seed)


class Lanes(_Cut):
  """A text cut into rows one after the other; in training a batch goes on where the last one ended.

  Row r of step k + 1 continues row r of step k, from the end of the text at its start, where it
  says `restart`. The rows of a batch lie as far apart as can be; the seed says where they begin.
  """

  @property
  def _stride(self) -> int:
    return self._context

  def order(self, step: int, batch_size: int, seed: int) -> Int[np.ndarray, ' b']:
    begin = draws(np.zeros(1, np.int64), len(self), seed)
    return (begin + np.arange(batch_size) * (len(self) // batch_size) + step) % len(self)

  def gather(self, numbers: Int[np.ndarray, ' b']) -> dict[str, np.ndarray]:
    return super().gather(numbers) | dict(restart=numbers == 0)


class Sliding(_Rows):
  """A window that slides over a text: every token is scored once, and with what precedes it.

  The first window scores all of its targets, each other one the last `stride`; only the very last
  starts early enough to be full. What precedes the first token of the text is `begin`.

  Args:
    encoded: The split, of at least t tokens.
    context: t.
    stride: 1 to t: how far the window goes on. At least t - stride tokens precede what is scored.
    begin: A token.
  """

  def __init__(self, encoded: Encoded, context: int, stride: int, begin: int):
    super().__init__(encoded, context)
    self._stride, self._begin = stride, begin

  def __len__(self) -> int:
    return 1 - (self._context - len(self._encoded)) // self._stride

  def __getitem__(self, index: int) -> Example:
    number, t = range(len(self))[index], self._context
    done = t + (number - 1) * self._stride if number else 0  # targets scored by the rows before
    stop = min(t + number * self._stride, len(self._encoded))
    start = stop - t  # of the targets
    before = self.tokens[start - 1 : start] if start else [self._begin]
    tokens = np.concatenate([before, self.tokens[start:stop]]).astype(np.int32)
    return dict(tokens=tokens, scored=np.arange(start, stop) >= done)


class Packed(_Rows):
  """Documents side by side in rows of fixed length; each begins with `begin`, and ends as its
  vocabulary has it. A longer one goes on in another segment.

  Args:
    encoded: The split.
    context: t.
    stride: As of `Sliding`, within long documents; 0: all targets of a row count, as in training.
    begin: A token.
    end: A token; None: documents end without one.
  """

  def __init__(self, encoded: Encoded, context: int, stride: int, begin: int, end: int | None):
    super().__init__(encoded, context)
    self._stride, self._begin = stride, begin
    self._end = -1 if end is None else end

  @functools.cached_property
  def _packing(self) -> Packing:
    lengths = np.diff(self._encoded.spans)[:, 0] + 1 + (self._end >= 0)
    return Packing(lengths, self._context + 1, self._stride or self._context)

  def __len__(self) -> int:
    return len(self._packing)

  def __getitem__(self, index: int) -> Example:
    tokens = np.zeros(self._context + 1, np.int32)
    segments, scored = np.zeros_like(tokens), np.zeros(self._context, bool)
    place = 0
    for number, piece in enumerate(self._packing[range(len(self))[index]].tolist(), 1):
      document, start, stop, known = piece
      here = slice(place, place + stop - start)
      tokens[here], segments[here] = self._document(document, start, stop), number
      scored[place + known - start - 1 : here.stop - 1] = True
      place = here.stop
    row = dict(tokens=tokens, segments=segments)
    return row | dict(scored=scored) if self._stride else row

  def _document(self, document: int, start: int, stop: int) -> np.ndarray:
    """Tokens `start` to `stop` of a document, the first and the last of all being special."""
    first, last = self._encoded.spans[document].tolist()
    found = self.tokens[max(first, first + start - 1) : min(last, first + stop - 1)]
    begin = [self._begin] if start == 0 else []
    end = [self._end] if stop - 1 > last - first else []
    return np.concatenate([begin, found, end]).astype(np.int32)

  def __getstate__(self) -> dict:
    return {key: value for key, value in self.__dict__.items() if key != '_packing'}


class Passages(_Rows):
  """Two passages in a row, cls A sep B sep: B follows A (`label` 0), or is from elsewhere (1).

  Both are half a row, wherever sentences end; what is drawn depends on the place of A alone.

  Args:
    encoded: The split.
    context: t.
    stride: How far apart the places of A are.
    cls: A token.
    sep: Another.
  """

  def __init__(self, encoded: Encoded, context: int, stride: int, cls: int, sep: int):
    super().__init__(encoded, context)
    self._stride, self._cls, self._sep = stride, cls, sep
    self._half, self._rest = (context - 2) // 2, (context - 1) // 2

  def __len__(self) -> int:
    return (len(self._encoded) - self._half - self._rest) // self._stride + 1

  def __getitem__(self, index: int) -> Example:
    place = range(len(self))[index] * self._stride
    middle = place + self._half
    label, jump = draws(2 * place + np.arange(2), 2**62, seed=0).tolist()
    label = np.int32(label % 2)
    if label:  # anywhere but where it would follow
      places = len(self._encoded) - self._rest + 1
      middle = (middle + 1 + jump % (places - 1)) % places
    first = [self._cls, *self.tokens[place : place + self._half], self._sep]
    second = [*self.tokens[middle : middle + self._rest], self._sep]
    segments = np.repeat(np.array([1, 2], np.int32), [len(first), len(second)])
    return dict(tokens=np.array(first + second, np.int32), segments=segments, label=label)

  def order(self, step: int, batch_size: int, seed: int) -> Int[np.ndarray, ' b']:
    return draws(step * batch_size + np.arange(batch_size), len(self), seed)


class WithWords:
  """Rows that also say where a word `begins`, for hiding whole words.

  Args:
    source: The rows.
    begins: Of every token of the vocabulary.
  """

  def __init__(self, source: Source, begins: Bool[np.ndarray, ' vocab']):
    self._source, self._begins = source, begins

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> Example:
    example = self._source[index]
    return {**example, 'begins': self._begins[example['tokens']]}

  def __getattr__(self, name: str) -> Any:  # order, digest, ...: whatever else the rows have
    if name.startswith('_') or name == 'gather':
      raise AttributeError(name)
    return getattr(self._source, name)
