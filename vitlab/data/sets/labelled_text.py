"""Your own texts with labels: a table, a folder a class, or a set of TensorFlow Datasets.

    data.path=reviews.csv        a table (.tsv, .csv, .jsonl; .gz may follow): a tenth of every
                                 class is held out as 'test'
    data.path=SST-2              a folder, .zip or .tar with train.tsv, dev.tsv, test.tsv, ...
    data.path=aclImdb.tar.gz     or with train/pos/*.txt, train/neg/*.txt, test/pos/*.txt, ...
    data.path=tfds:glue/sst2     a set that was prepared, see `vitlab.data.sets.tfds`

Columns are found by the names that GLUE, SNLI and many others give them; `text`, `pair` and `label`
say others, by name or, without a header, by position from 0. Splits are called 'train', 'val' and
'test', whatever their files are called (dev, validation, ...). What has no labels is left out.
"""

import logging
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from vitlab.data import Dataset, prepared
from vitlab.data.archive import Tree, counted, open_tree
from vitlab.data.pictures import ending
from vitlab.data.splits import canonical
from vitlab.data.texts import labelled, reading, tables
from vitlab.data.texts.cache import cached
from vitlab.data.texts.reading import TFDS
from vitlab.data.texts.tables import Columns, Labelled
from vitlab.data.vocabularies import kinds
from vitlab.errors import UserError

_log = logging.getLogger(__name__)
_UNLABELLED = ('unsup',)  # a folder of IMDb
_RECORDS = 10_000  # of TFDS that are read at a time


def make(
  path: str,
  tokenizer: str = 'wordpiece',
  vocab_size: int = 8000,
  max_length: int = 128,
  text: str = '',
  pair: str = '',
  label: str = '',
  quotes: bool | None = None,
  class_names: Sequence[str] = (),
  test_fraction: float = 0.1,
  data_dir: str = '',
  cache: str = '',
) -> Dataset:
  """Splits of `tokens` and `segments` of up to max_length, and `label`.

  Facts: num_classes, class_names, max_length, vocab_size, tokenizer, special.

  Args:
    path: A table, a folder or archive, or 'tfds:NAME'.
    tokenizer: 'wordpiece', 'byte_bpe', 'bpe', 'unigram', 'xlnet', learned from 'train', 'chars' or
      'bytes'; the folder of a run or of a published vocabulary; or a .model of sentencepiece.
    vocab_size: Of a vocabulary that is learned: at most.
    max_length: Tokens of an example, [CLS] and [SEP] included; the end of longer ones is cut off.
    text: The column of the text, or of the first of a pair.
    pair: The column of the second of a pair.
    label: The column of the label.
    quotes: Whether values may stand in double quotes; by default in CSV, and not in TSV.
    class_names: Names of the labels 0, 1, ..., or the labels in the order of their numbers.
    test_fraction: Held out of every class where there is one table only.
    data_dir: Of TFDS: where the set was prepared.
    cache: Where encoded texts are kept; by default ~/.cache/vitlab/text.

  Raises:
    UserError: nothing there, a column that is missing, a label that occurs once or only beside
      'train', an empty file, text that is not UTF-8.
  """
  if not path:
    raise UserError('data.path is empty: give a table, a folder or archive of texts, or tfds:NAME')
  if max_length < 8:
    raise UserError(f'data.max_length={max_length}: expected at least 8 tokens')
  columns = Columns(text, pair, label, quotes)
  known = None if tokenizer in kinds.KINDS else kinds.load(tokenizer)
  options = (vocab_size, max_length, tuple(class_names), test_fraction)
  options += ('class last',) if known and known.class_last else ()
  key = (known.text if known else tokenizer, repr((columns, *options)))

  def build(folder: pathlib.Path) -> dict[str, Any]:
    splits, names = _read(path, data_dir, columns)
    words = dict(tokenizer=tokenizer, vocab_size=vocab_size, max_length=max_length)
    words |= dict(class_names=class_names or names, test_fraction=test_fraction)
    return labelled.build(splits, **words, folder=folder)

  return cached([_digest(path, data_dir), *key], build, labelled.opened, cache)


def _digest(path: str, data_dir: str) -> str:
  """Of what lies there, as it lies there."""
  if path.startswith(TFDS):
    return reading.digest_of_prepared(
      prepared.open_prepared(path.removeprefix(TFDS), data_dir, download=False)
    )
  return reading.digest_at(path, 'a table, or a folder or archive of texts')


def _read(path: str, data_dir: str, columns: Columns) -> tuple[dict[str, Labelled], Sequence[str]]:
  """The splits that have labels, and the names of the classes if somebody says them."""
  if path.startswith(TFDS):
    return _prepared(path.removeprefix(TFDS), data_dir, columns)
  place = pathlib.Path(path).expanduser()
  if place.is_file() and (match := tables.KIND.fullmatch(place.name)):
    content = reading.decode(path, place.read_bytes())
    found = tables.read(path, match['kind'], content, columns)
    if found is None:
      raise _no_label(path)
    return {labelled.TRAIN: found}, ()
  tree = open_tree(path)
  if any(tables.KIND.search(name) for name in tree.names):
    return _tables(path, tree, columns), ()
  return _folders(path, tree), ()


def _tables(path: str, tree: Tree, columns: Columns) -> dict[str, Labelled]:
  splits: dict[str, Labelled] = {}
  for number, name in enumerate(tree.names):
    match = tables.KIND.search(name)
    split = match and (canonical(match['split']) or match['split'])
    if not match:
      continue
    if split in splits:
      raise UserError(f'{path}: {splits[split].name} and {name} are both {split}')
    content = reading.decode(name, tree(number))
    found = tables.read(name, match['kind'], content, columns)
    if found is not None:
      splits[split] = found
    elif split == labelled.TRAIN:
      raise _no_label(name)
    else:
      _log.warning('%s: %s has no labels and is left out', path, name)
  return splits


def _no_label(name: str) -> UserError:
  return UserError(f'{name} has no column of labels that is known: set data.label to its name')


def _folders(path: str, tree: Tree) -> dict[str, Labelled]:
  """Texts in folders that are called as their labels, perhaps in folders of splits."""
  found: dict[str, list[tuple[str, str, str]]] = {}
  left_out: Counter[str] = Counter()
  for number, name in enumerate(tree.names):
    *folders, last = name.split('/')
    label = folders[-1] if folders else ''
    if not last:
      continue
    if ending(last.removesuffix('.gz')) != '.txt' or not label or canonical(label):
      left_out[ending(last)] += 1
    elif label in _UNLABELLED:
      left_out[f'in {label}'] += 1
    else:
      split = next(filter(None, map(canonical, folders[:-1])), labelled.TRAIN)
      content = reading.decode(f'{path}/{name}', tree(number))
      found.setdefault(split, []).append((content, label, name))
  if not found:
    raise UserError(
      f'{path} holds no table (.tsv, .csv, .jsonl) and no folder of texts, LABEL/*.txt'
      + (f'\n{counted(left_out)}' if left_out else '')
    )
  if left_out:
    _log.warning('%s: %s', path, counted(left_out))
  return {
    split: Labelled(f'{path} {split}', texts, None, labels, names)
    for split, (texts, labels, names) in ((s, map(list, zip(*rows))) for s, rows in found.items())
  }


def _prepared(
  dataset: str, data_dir: str, columns: Columns
) -> tuple[dict[str, Labelled], Sequence[str]]:
  """The labelled splits of a prepared set, and the names of its classes."""
  import tensorflow_datasets as tfds

  builder = prepared.open_prepared(dataset, data_dir, download=False)
  name, features = builder.info.full_name, builder.info.features
  texts, label = tables.choose(list(features), columns, name)
  if label is None or not isinstance(features[label], tfds.features.ClassLabel):
    raise UserError(
      f'data set {name} has no feature of labels; it has {", ".join(sorted(features))}\n'
      'set data.label'
    )
  names, splits = features[label].names, {}
  for split in builder.info.splits:
    records, values = builder.as_data_source(split), []
    for start in range(0, len(records), _RECORDS):
      numbers = range(start, min(start + _RECORDS, len(records)))
      values += [
        ([record[key].decode() for key in texts], int(record[label]))
        for record in records.__getitems__(list(numbers))
      ]
    if not values or any(number < 0 for _, number in values):  # of a competition
      _log.warning('%s: %s has no labels and is left out', name, split)
      continue
    columns_of = [list(column) for column in zip(*(texts for texts, _ in values))]
    splits[canonical(split) or split] = Labelled(
      f'{name} {split}',
      columns_of[0],
      columns_of[1] if len(texts) > 1 else None,
      [names[number] for _, number in values],
      [f'record {i}' for i in range(len(values))],
    )
  return splits, names
