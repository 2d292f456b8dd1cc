"""Running text as words and their windows, for word vectors: your own text.

A line is a sentence, which no window leaves. Words are what a pattern finds, or what white space
parts; those that occur often enough are the vocabulary, the most frequent first, and all others are
left out before windows are measured, as word2vec.c does. Of frequent words a part is left out, too,
and windows are as short as chance will have it: both anew in every epoch, as a function of (seed,
epoch, position), so that a row of the text is an example and any step can be asked for.
"""

import array
import re
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from vitlab.data import Dataset, Example
from vitlab.data.identity import digest_of_arrays
from vitlab.data.order import draw_key, epoch_shuffle, uniform
from vitlab.data.sources import Arrays
from vitlab.data.texts.reading import open_texts
from vitlab.errors import UserError, unknown

TOKENISE = dict(words=re.compile(r"\w+(?:['’]\w+)*"), spaces=re.compile(r'\S+'))


def make(
  path: str,
  window: int = 5,
  min_count: int = 5,
  max_words: int = 1_000_000,
  subsample: float = 1e-3,
  shrink: bool = True,
  lower: bool = True,
  tokenise: str = 'words',
  row: int = 1024,
) -> Dataset:
  """The splits 'train', rows of text with windows, and 'words', the words of the vocabulary.

  Args:
    path: Text, see `vitlab.data.texts.reading.open_texts`; of a folder with splits, 'train'.
    window: The most words on each side of a centre that are its context.
    min_count: How often a word has to occur.
    max_words: The most words of the vocabulary: of all that occur often enough, the most frequent.
    subsample: t of word2vec.c: of a word with the share f of the text, sqrt(t / f) + t / f is kept;
      0 keeps all.
    shrink: Whether each centre draws its window from 1 ... window, evenly.
    lower: Whether case is dropped.
    tokenise: 'words': letters, digits and apostrophes inside; 'spaces': as the text is parted.
    row: Words of an example before any are left out.

  Raises:
    UserError: nothing there, not UTF-8, no word that occurs often enough, a number out of range.
  """
  if tokenise not in TOKENISE:
    raise unknown('tokenise of word_windows', tokenise, TOKENISE)
  if min(window, min_count, max_words) < 1 or subsample < 0 or row <= 2 * window:
    raise UserError(
      f'word_windows(window={window}, min_count={min_count}, max_words={max_words}, '
      f'subsample={subsample}, row={row}): numbers are positive, and a row is longer than a window'
    )
  ids, starts, words = _read(path, TOKENISE[tokenise], lower)
  ids, starts, words, counts = _frequent(path, ids, starts, words, min_count, max_words)
  share = counts / counts.sum()
  keep = np.sqrt(subsample / share) + subsample / share if subsample else np.ones(len(counts))
  train = Rows(ids, starts, np.minimum(keep, 1), window, shrink, row)
  facts = dict(vocab_size=len(words), vocabulary=words, counts=counts.tolist(), window=window)
  every = Arrays(dict(tokens=np.arange(len(words), dtype=np.int32)))
  return Dataset(dict(train=train, words=every), facts)


class Rows:
  """A split of rows of text, `tokens` [t] and `window` [t 2]; see `vitlab.tasks.embedding`.

  The number of an example is that of its row, plus as often the number of rows as what is drawn for
  it says: an epoch of a seed is a stretch of numbers of its own.

  Args:
    ids: The words of the whole text.
    starts: Where its sentences begin.
    keep: The chance of each word of the vocabulary not to be left out.
    window: The most words on each side.
    shrink: Whether windows are drawn.
    row: Words of a row before any are left out.
  """

  def __init__(
    self,
    ids: Int[np.ndarray, ' text'],
    starts: Int[np.ndarray, ' sentences'],
    keep: Float[np.ndarray, ' words'],
    window: int,
    shrink: bool,
    row: int,
  ):
    self._ids, self._starts, self._keep = ids, starts, keep
    self._window, self._shrink, self._row = window, shrink, row
    self._length = self._longest()

  def __len__(self) -> int:
    return -(-len(self._ids) // self._row)

  def __getitem__(self, index: int) -> Example:
    drawn, row = divmod(index, len(self))
    places = np.arange(row * self._row, min((row + 1) * self._row, len(self._ids)))
    kept = uniform(places, drawn, 0) < self._keep[self._ids[places]]
    places = places[kept][: self._length]
    sentence = np.searchsorted(self._starts, places, side='right')
    place = np.arange(len(places))
    before = place - np.searchsorted(sentence, sentence, side='left')
    behind = np.searchsorted(sentence, sentence, side='right') - 1 - place
    reach = self._window
    if self._shrink:
      reach = 1 + (uniform(places, drawn, 1) * self._window).astype(np.int32)
    tokens, window = np.zeros(self._length, np.int32), np.zeros((self._length, 2), np.int32)
    tokens[place] = self._ids[places]
    window[place] = np.stack([np.minimum(before, reach), np.minimum(behind, reach)], axis=-1)
    return dict(tokens=tokens, window=window)

  def order(self, step: int, batch_size: int, seed: int) -> Int[np.ndarray, ' b']:
    """The walk of `epoch_shuffle` over the rows, each with what is drawn in its epoch."""
    places = step * batch_size + np.arange(batch_size)
    drawn = [draw_key(seed, int(epoch)) for epoch in places // len(self)]
    return np.array(drawn) * len(self) + epoch_shuffle(places, len(self), seed)

  def digest(self) -> str:
    return digest_of_arrays(dict(ids=self._ids, starts=self._starts))

  def _longest(self) -> int:
    """Room for what is kept of any row, up to four standard deviations: less is computed with."""
    keep = self._keep[self._ids]
    cuts = np.arange(0, len(keep), self._row)
    mean, variance = np.add.reduceat(keep, cuts), np.add.reduceat(keep * (1 - keep), cuts)
    return int(min(self._row, np.ceil(np.max(mean + 4 * np.sqrt(variance)))))


def _read(
  path: str, pattern: re.Pattern[str], lower: bool
) -> tuple[Int[np.ndarray, ' text'], Int[np.ndarray, ' sentences'], list[str]]:
  """All words as numbers in order of their first occurrence, where lines begin, and the words."""
  numbers: dict[str, int] = {}
  ids, starts = array.array('i'), array.array('q')
  for line in _lines(path):
    starts.append(len(ids))
    found = pattern.findall(line.lower() if lower else line)
    ids.extend(numbers.setdefault(word, len(numbers)) for word in found)
  return np.array(ids, np.int32), np.array(starts, np.int64), list(numbers)


def _frequent(
  path: str,
  ids: Int[np.ndarray, ' text'],
  starts: Int[np.ndarray, ' sentences'],
  words: Sequence[str],
  min_count: int,
  max_words: int,
) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
  """The same with frequent words alone, which are numbered from the most frequent on; counts."""
  counts = np.bincount(ids, minlength=len(words))
  chosen = np.argsort(-counts, kind='stable')[:max_words]
  chosen = chosen[counts[chosen] >= min_count]
  if len(chosen) < 2:
    raise UserError(
      f'{path}: {len(ids):,} words, of which {len(chosen)} occur {min_count} times or more'
      '\ngive more text, or lower data.min_count'
    )
  number = np.full(len(words), -1, np.int32)
  number[chosen] = np.arange(len(chosen))
  ids = number[ids]
  kept = ids >= 0
  starts = np.concatenate([[0], np.cumsum(kept)])[starts]
  return ids[kept], starts, [words[i] for i in chosen], counts[chosen]


def _lines(path: str) -> Iterator[str]:
  """The lines of all texts that are to be trained on."""
  splits = open_texts(path).splits()
  for text in splits.get('') or splits.get('train') or ():
    rest = ''
    for block in text.blocks():
      *lines, rest = (rest + block).split('\n')
      yield from lines
    yield rest
