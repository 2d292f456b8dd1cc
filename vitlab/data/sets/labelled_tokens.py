"""Your own texts whose words have tags: entities, parts of speech.

    data.path=ner.conll          a word and its tag a line, a blank line behind each text
    data.path=ner.jsonl          a text a line, {"tokens": ["Ada", ...], "tags": ["B-PER", ...]}
    data.path=conll2003          a folder, .zip or .tar with train.txt, valid.txt, test.txt, ...

Of more columns the first is the word and the last the tag, as in CoNLL-2003; `word` and `tag` say
others, by position from 0, or of JSON by key. Of one file alone a tenth of the texts is held out as
'test'. A word is cut into tokens, and its tag belongs to the first of them.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from vitlab.data import Dataset
from vitlab.data.archive import Tree, open_tree
from vitlab.data.pictures import ending
from vitlab.data.splits import canonical
from vitlab.data.texts import labelled, reading, tagged
from vitlab.data.texts.cache import cached
from vitlab.data.texts.tagged import Tagged
from vitlab.data.vocabularies import kinds
from vitlab.errors import UserError

TRAIN, TEST = 'train', 'test'
_JSON = '.jsonl'
ENDINGS = ('.conll', '.bio', '.iob', '.iob2', '.txt', '.tsv', _JSON)


def make(
  path: str,
  tokenizer: str = 'wordpiece',
  vocab_size: int = 8000,
  max_length: int = 128,
  word: str = '',
  tag: str = '',
  class_names: Sequence[str] = (),
  test_fraction: float = 0.1,
  cache: str = '',
) -> Dataset:
  """Splits of `tokens`, `segments` and `classes` of up to max_length tokens.

  Facts: num_classes, class_names (the tags), max_length, vocab_size, tokenizer, special.

  Args:
    path: A file, a folder or an archive.
    tokenizer: 'wordpiece', 'byte_bpe', 'bpe', 'unigram', learned from 'train', 'chars' or 'bytes';
      the folder of a run or of a published vocabulary; or a .model of sentencepiece.
    vocab_size: Of a vocabulary that is learned: at most.
    max_length: Tokens of a text, [CLS] and [SEP] included; the last words of longer ones are cut
      off.
    word: The column or key of the words.
    tag: The column or key of the tags.
    class_names: Names of the tags 0, 1, ..., or the tags in the order of their numbers.
    test_fraction: Share of the texts that is held out where there is one file only.
    cache: Where encoded texts are kept; by default ~/.cache/vitlab/text.

  Raises:
    UserError: nothing there, a line without a tag, a tag that 'train' has not, text that is not
      UTF-8.
  """
  if not path:
    raise UserError('data.path is empty: give a file of words and tags, a folder or an archive')
  if max_length < 8:
    raise UserError(f'data.max_length={max_length}: expected at least 8 tokens')
  if not 0 < test_fraction < 1:
    raise UserError(f'data.test_fraction={test_fraction}: expected a number between 0 and 1')
  known = None if tokenizer in kinds.KINDS else kinds.load(tokenizer)
  options = (vocab_size, max_length, word, tag, tuple(class_names), test_fraction)
  key = (
    'tagged',
    reading.digest_at(path, 'a file of words and tags, a folder or an archive'),
    known.text if known else tokenizer,
    repr(options),
  )

  def build(folder: pathlib.Path) -> dict[str, Any]:
    splits = _read(path, word, tag)
    if TRAIN not in splits:
      raise UserError(f'{path} has no split {TRAIN!r}, only {", ".join(splits)}: name a file train')
    written, names = tagged.tags_of(splits[TRAIN], class_names)
    if len(splits) == 1:
      splits = _held_out(splits[TRAIN], test_fraction)
    vocabulary = known or kinds.learn(
      tokenizer, lambda: map(' '.join, splits[TRAIN].words), vocab_size
    )
    numbers = {one: i for i, one in enumerate(written)}
    for name, split in splits.items():
      tagged.write(split, vocabulary, max_length, numbers, folder / f'{name}.npz')
    facts = labelled.facts_of(names, max_length, vocabulary)
    return dict(facts=facts, splits=sorted(splits))

  return cached(key, build, tagged.opened, cache)


def _read(path: str, word: str, tag: str) -> dict[str, Tagged]:
  """The texts of every split."""
  place = pathlib.Path(path).expanduser()
  if place.is_file() and _is_one(place.name):
    files = {TRAIN: (path, place.read_bytes())}
  else:
    files = _in_tree(path, open_tree(path))
  splits = {}
  for split, (name, data) in files.items():
    read = tagged.lines if _plain(name).endswith(_JSON) else tagged.columns
    splits[split] = read(name, reading.decode(name, data), word, tag)
    if not splits[split].words:
      raise UserError(f'{name} holds no text: give it words and tags')
  return splits


def _in_tree(path: str, tree: Tree) -> dict[str, tuple[str, bytes]]:
  """Split -> the name and content of its file."""
  files: dict[str, tuple[str, bytes]] = {}
  for number, name in enumerate(tree.names):
    split = next(filter(None, map(canonical, re.split(r'[./]', name))), None)
    if not _is_one(name) or not split:
      continue
    if split in files:
      raise UserError(f'{path}: {files[split][0]} and {name} are both {split}: take one out')
    files[split] = name, tree(number)
  if not files:
    raise UserError(
      f'{path} holds no file that is called after a split, such as train.txt: they end in '
      f'{", ".join(ENDINGS)} (or these and .gz)'
    )
  return files


def _plain(name: str) -> str:
  return name.lower().removesuffix('.gz')


def _is_one(name: str) -> bool:
  return ending(_plain(name)) in ENDINGS


def _held_out(train: Tagged, fraction: float) -> dict[str, Tagged]:
  """Two parts, drawn."""
  count = len(train.words)
  order = np.random.default_rng(0).permutation(count)
  kept = count - max(1, round(fraction * count))
  if not kept:
    raise UserError(f'{train.name}: one text is too few: a part is held out for testing')
  rows = {TRAIN: sorted(order[:kept].tolist()), TEST: sorted(order[kept:].tolist())}
  take = lambda part: [[column[i] for i in part] for column in train[1:]]  # noqa: E731
  return {name: Tagged(train.name, *take(part)) for name, part in rows.items()}
