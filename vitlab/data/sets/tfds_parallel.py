"""Any translation set of TensorFlow Datasets, once it is prepared, without TensorFlow.

As for pictures (`vitlab.data.sets.tfds`), it has to be prepared once, anywhere:

    import tensorflow_datasets as tfds
    tfds.builder('wmt14_translate/de-en', file_format='array_record').download_and_prepare()
"""

from collections.abc import Sequence
from typing import Any

from vitlab.data import Dataset, prepared, sentences
from vitlab.data.sentences import Lines
from vitlab.errors import UserError

_CHUNK = 10_000  # records that are read at a time


def make(
  dataset: str,
  source: str,
  target: str,
  data_dir: str = '',
  tokenizer: str = 'bpe',
  vocab_size: int = 32_000,
  lengths: Sequence[int] = (16, 32, 48, 64, 96, 128),
  download: bool = False,
) -> Dataset:
  """Splits of `tokens` and `targets`; facts: vocab_size, vocabulary, tokenizer, languages.

  Args:
    dataset: 'wmt14_translate/de-en', with a version 'name:1.0.0'.
    source: The language that is read, one of the set's features: 'en'.
    target: The language that is said.
    data_dir: Where it was prepared; TFDS_DATA_DIR or ~/tensorflow_datasets if not given.
    tokenizer: See `vitlab.data.sets.parallel.make`, as vocab_size and lengths.
    vocab_size: Of a vocabulary that is learned from the split 'train'.
    lengths: That sentences are padded to, EOS included.
    download: Download and prepare what is missing (needs TensorFlow).

  Raises:
    UserError: not prepared, or in a format without random access; no such language; or as
      `vitlab.data.sentences.parallel`.
  """
  builder = prepared.open_prepared(dataset, data_dir, download)
  features = sorted(builder.info.features)
  if missing := {source, target} - set(features):
    raise UserError(
      f'data set {builder.info.full_name} has no language {missing.pop()!r}: it has '
      f'{", ".join(features)}\nset data.source and data.target'
    )
  splits = {
    split: _read(builder.as_data_source(split), source, target, f'{builder.info.full_name} {split}')
    for split in builder.info.splits
  }
  made = sentences.parallel(splits, tokenizer, vocab_size, lengths)
  return made._replace(facts={**made.facts, 'languages': [source, target]})


def _read(records: Any, source: str, target: str, name: str) -> Lines:
  """All of a split: text is small."""
  sides: tuple[list[str], list[str]] = [], []
  for start in range(0, len(records), _CHUNK):
    numbers = range(start, min(start + _CHUNK, len(records)))
    for record in records.__getitems__(list(numbers)):
      for side, language in zip(sides, (source, target)):
        side.append(record[language].decode())
  return Lines(*sides, name)
