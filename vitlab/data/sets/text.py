"""Your own text for a language model: one file, a folder or archive of them, or a set of TFDS.

    data.path=book.txt           a file: its last tenth is 'val'
    data.path=corpus             a folder, .zip or .tar: train.txt val.txt test.txt, or train/*.txt
                                 ...; without such names, all files one after the other
    data.path=tfds:lm1b          a set that was prepared, see `vitlab.data.sets.tfds`
    data.path=sonnets:           Shakespeare's sonnets, which ship: 94,653 characters

Files end in .txt (or .text, .raw, .tokens, .md; .gz may follow) and are UTF-8. The text is encoded
when it is first used, and kept in a cache folder: the next start only maps it into memory.
"""

import functools
import itertools
import logging
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from vitlab.data import Dataset, Source
from vitlab.data.texts import cache as cache_lib
from vitlab.data.texts import encoded
from vitlab.data.texts.documents import Piece, check_between, documents
from vitlab.data.texts.encoded import Encoded
from vitlab.data.texts.reading import Texts, open_texts
from vitlab.data.texts.rows import Lanes, Packed, Passages, Sliding, Windows, WithWords
from vitlab.data.tokenizers import from_text
from vitlab.data.vocabularies import Vocabulary, begins, kinds
from vitlab.errors import UserError, unknown

_log = logging.getLogger(__name__)
TRAIN, PARTS = 'train', ('train', 'val', 'test')
_LONG = 10**7  # bytes: what takes longer than a few seconds is announced
ORDERS = dict(windows=Windows, lanes=Lanes)
PASSAGES = 'passages'


def make(
  path: str,
  tokenizer: str = 'chars',
  vocab_size: int = 8000,
  context: int = 256,
  order: str = 'windows',
  pack: str = '',
  stride: int = 0,
  eval_context: int = 0,
  fractions: Sequence[float] = (0.9, 0.1),
  words: bool = False,
  text_key: str = 'text',
  data_dir: str = '',
  cache: str = '',
) -> Dataset:
  """Splits of `tokens`; facts: vocab_size, context, tokenizer, special, sizes.

  Facts `sizes`: split -> dict(tokens=how many are said of it, characters, bytes), for the bits that
  a character or a byte takes.

  Args:
    path: A file, folder, archive, 'tfds:NAME' or 'sonnets:'.
    tokenizer: 'chars', 'bytes'; 'bpe', 'unigram' (sentencepiece), 'xlnet' (unigram with XLNet's
      special tokens), 'wordpiece', 'byte_bpe', learned from 'train'; the folder of a run or of a
      published vocabulary; or a .model of sentencepiece.
    vocab_size: Of a vocabulary that is learned: at most.
    context: Tokens that a model reads at once; a row holds one more.
    order: Of training: 'windows', at random and each place equally likely; 'lanes', in which row r
      of a batch goes on where row r of the batch before ended; or, of all splits, 'passages': two
      in a row, with a `label`: the second follows the first (0) or is from elsewhere (1).
    pack: What divides a text into documents that are packed into rows: 'file', 'line', 'paragraph'
      (blank lines) or a mark such as '<|endoftext|>'. '': rows reach over the end of a file.
    stride: How far the window of an evaluation goes on, 1 to its length: length - stride tokens at
      least precede a token that is scored. 0: half of the length.
    eval_context: Length of that window, for models that read on with a memory; 0: the context.
    fractions: Of train, val and, if there are three, test, one after the other, where no file or
      folder is named after a split: of all characters, or with `pack` of the documents.
    words: Whether rows say where a word begins (`begins`), so that whole words can be hidden.
    text_key: Of TFDS: the feature that holds the text.
    data_dir: Of TFDS: where the set was prepared.
    cache: Where encoded texts are kept; by default ~/.cache/vitlab/text.

  Raises:
    UserError: no text, an unknown tokenizer or order, a split shorter than the context; text
      that is not UTF-8.
  """
  if pack and order != 'windows':
    raise UserError('data.pack deals out documents: leave out data.order')
  if order not in (*ORDERS, PASSAGES):
    raise unknown('data.order', order, (*ORDERS, PASSAGES))
  window = eval_context or context
  if context < 1 or window < 1 or not 0 <= stride <= window:
    given = f'data.context={context}, data.eval_context={eval_context}, data.stride={stride}'
    raise UserError(f'{given}: a stride is 1 to context, or to eval_context where that is given')
  if not 1 <= len(fractions) <= 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
    raise UserError(
      f'data.fractions={tuple(fractions)}: give those of train, val and test, for example '
      '(0.8, 0.1, 0.1)'
    )
  check_between(pack)
  texts = open_texts(path, data_dir, text_key)
  known = None if tokenizer in kinds.KINDS else kinds.load(tokenizer)
  build = functools.partial(_build, texts, tokenizer, vocab_size, known, pack, fractions)
  size = str(vocab_size) if tokenizer in kinds.LEARNED else ''
  key = (texts.digest, known.text if known else tokenizer, size, pack, repr(tuple(fractions)))
  text, splits = cache_lib.cached(key, build, encoded.opened, cache)
  vocabulary = from_text(text)
  rows = functools.partial(_rows, vocabulary, context, window, stride or -(-window // 2))
  made = {name: rows(name, split, order, bool(pack), path) for name, split in splits.items()}
  if words:
    begin = begins(vocabulary)
    made = {name: WithWords(source, begin) for name, source in made.items()}
  sizes = {name: _sizes(split, vocabulary, bool(pack)) for name, split in splits.items()}
  facts = dict(vocab_size=len(vocabulary), tokenizer=text, special=vocabulary.special._asdict())
  return Dataset(made, dict(facts, context=context, sizes=sizes))


def _build(
  texts: Texts,
  tokenizer: str,
  vocab_size: int,
  vocabulary: Vocabulary | None,
  between: str,
  fractions: Sequence[float],
  folder: pathlib.Path,
) -> Mapping[str, Any]:
  """Encodes all splits into a folder; see `cache.cached`."""
  if texts.size > _LONG:
    _log.warning('%s: encoding %d MB, once', texts.name, texts.size // 10**6)
  splits = _splits(texts, between, fractions)
  if vocabulary is None:
    if tokenizer in kinds.LEARNED and TRAIN not in splits:
      raise UserError(
        f'{texts.name}: a vocabulary is learned from the split {TRAIN!r}; there are only '
        f'{", ".join(splits)}\nset data.tokenizer to the vocabulary that is to be used'
      )
    learned_from = [splits[TRAIN]] if tokenizer in kinds.LEARNED else list(splits.values())

    def parts() -> Iterator[str]:
      return (piece for split in learned_from for piece, _ in split())

    vocabulary = kinds.learn(tokenizer, parts, vocab_size)
  about = {}
  for name, pieces in splits.items():
    about[name] = encoded.write(pieces(), vocabulary, folder / f'{name}.tokens')
    if not about[name]['tokens']:
      raise UserError(f'{texts.name}: the text of split {name!r} is empty')
  return dict(tokenizer=vocabulary.text, splits=about)


def _splits(
  texts: Texts, between: str, fractions: Sequence[float]
) -> dict[str, Callable[[], Iterator[Piece]]]:
  """What gives the documents of every split from the start."""
  found = texts.splits()
  if '' not in found:
    return {name: functools.partial(documents, found[name], between) for name in sorted(found)}
  everything = functools.partial(documents, found[''], between)
  cut, unit = (_whole, 'documents') if between else (_characters, 'characters')
  total = sum(last if between else len(text) for text, last in everything())
  if not total:
    raise UserError(f'{texts.name} is empty: give it text')
  bounds = [0, *(int(total * part) for part in itertools.accumulate(fractions[:-1])), total]
  if len(set(bounds)) < len(bounds):
    raise UserError(
      f'{texts.name}: {total:,} {unit} are too few for data.fractions={tuple(fractions)}'
      '\ngive more text, or all of it to training: data.fractions=(1.0,)'
    )
  spans = itertools.pairwise(bounds)
  return {name: functools.partial(cut, everything, *span) for name, span in zip(PARTS, spans)}


def _characters(
  everything: Callable[[], Iterable[Piece]], start: int, stop: int
) -> Iterator[Piece]:
  """Characters `start` to `stop` of all documents."""
  place = 0
  for text, last in everything():
    part = text[max(0, start - place) : max(0, stop - place)]
    place += len(text)
    if part:
      yield part, last or place >= stop
    if place >= stop:
      return


def _whole(everything: Callable[[], Iterable[Piece]], start: int, stop: int) -> Iterator[Piece]:
  """Documents `start` to `stop`."""
  number = 0
  for text, last in everything():
    if start <= number < stop:
      yield text, last
    number += last
    if number >= stop:
      return


def _rows(
  vocabulary: Vocabulary,
  context: int,
  window: int,
  stride: int,
  name: str,
  split: Encoded,
  order: str,
  pack: bool,
  path: str,
) -> Source:
  training, special = name == TRAIN, vocabulary.special
  context = context if training else window
  if pack:
    return Packed(split, context, 0 if training else stride, _begin(vocabulary), special.end)
  if len(split) < context + training:
    raise UserError(
      f'{path}: split {name!r} has {len(split):,} tokens, too few for data.context={context}'
      '\ngive more text, or lower data.context'
    )
  if order == PASSAGES:
    if special.cls is None or special.sep is None:
      raise UserError(
        'data.order=passages: the vocabulary has no tokens [CLS] and [SEP]'
        '\ntake data.tokenizer=wordpiece, or the vocabulary of a published BERT'
      )
    return Passages(split, context, 1 if training else context, special.cls, special.sep)
  if training:
    return ORDERS[order](split, context)
  return Sliding(split, context, stride, _begin(vocabulary))


def _begin(vocabulary: Vocabulary) -> int:
  """What precedes a text: the token that begins a document, else the end of a line, else 0."""
  if vocabulary.special.begin is not None:
    return vocabulary.special.begin
  if {'\n', '<0x0A>'} & {*vocabulary.pieces}:
    (row,) = vocabulary.encode(['\n'])
    return int(row[0])
  return 0


def _sizes(split: Encoded, vocabulary: Vocabulary, pack: bool) -> dict[str, int]:
  """Of what an evaluation scores; packed documents end with a token each, if they end with any."""
  said = len(split) + (pack and vocabulary.special.end is not None)  # one more than lie between
  return dict(tokens=said, characters=split.characters, bytes=split.bytes)
