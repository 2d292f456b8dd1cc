"""Sentences and their translations, from text files: a folder, a .zip or a .tar of them.

Two files a split, line by line (`.txt` and `.gz` may follow):

    train.en  train.fr  val.en  val.fr  test_2016.en.gz  test_2016.fr.gz

or one file with tabs (.tsv, .txt, perhaps .gz), source and target in two of its columns. The first
part of a file's name is the name of its split; a single file is 'train', and the pairs of one
twentieth of its source sentences are held out as 'test'. Text is UTF-8. Blank lines at the end of a
file are no pairs; elsewhere a blank line is an empty sentence on either side, with tabs on both.
"""

import re
import zlib
from collections.abc import Sequence

from vitlab.data import Dataset, sentences
from vitlab.data.archive import Tree, open_tree
from vitlab.data.pictures import ImageError
from vitlab.data.sentences import TRAIN, Lines
from vitlab.data.texts.reading import decode
from vitlab.errors import UserError

HELD_OUT = 20  # one of so many
_TABS = re.compile(r'(?P<split>[^/]+?)\.(tsv|tab|txt)(\.gz)?')


def make(
  path: str,
  source: str,
  target: str,
  tokenizer: str = 'bpe',
  vocab_size: int = 8000,
  lengths: Sequence[int] = (16, 24, 32, 48, 64, 96),
  columns: Sequence[int] = (0, 1),
) -> Dataset:
  """Splits of `tokens` and `targets`; facts: vocab_size, vocabulary, tokenizer, languages.

  Args:
    path: Of the files.
    source: The language that is read, as the files' names end: 'en'.
    target: The language that is said.
    tokenizer: 'bpe', 'unigram' or 'char', learned from 'train'; or the folder of a run or of
      opus-mt, or a .model file of sentencepiece, whose vocabulary is to be used.
    vocab_size: Of a vocabulary that is learned; both languages share it.
    lengths: That sentences are padded to, EOS included. Training pairs with more tokens than the
      last are left out.
    columns: Of source and target in files with tabs, from 0.

  Raises:
    UserError: no such files, text that is not UTF-8, lines that do not pair; or as
      `vitlab.data.sentences.parallel`.
  """
  tree = open_tree(path)
  splits = _two_files(tree, source, target) or _one_file(tree, columns)
  if not splits:
    names = ', '.join(name for name in tree.names[:6]) or 'nothing'
    raise UserError(
      f'{path} holds no pairs of files NAME.{source} and NAME.{target}, and no file with tabs; '
      f'there: {names}\nset data.source and data.target to the endings of the files'
    )
  made = sentences.parallel(splits, tokenizer, vocab_size, lengths)
  return made._replace(facts={**made.facts, 'languages': [source, target]})


def _two_files(tree: Tree, source: str, target: str) -> dict[str, Lines]:
  """The splits of which there is a file for each language."""
  found: dict[str, dict[str, int]] = {}
  pattern = re.compile(
    rf'(?P<split>[^/]+)\.(?P<language>{re.escape(source)}|{re.escape(target)})(\.txt)?(\.gz)?'
  )
  for number, name in enumerate(tree.names):
    if match := pattern.fullmatch(name.rpartition('/')[2]):
      files = found.setdefault(match['split'], {})
      if match['language'] in files:
        other = tree.names[files[match['language']]]
        raise UserError(f'{other} and {name} are both {match["split"]}.{match["language"]}')
      files[match['language']] = number
  for split, files in found.items():
    if missing := {source, target} - files.keys():
      there = tree.names[next(iter(files.values()))]
      raise UserError(f'there is {there}, but no {split}.{missing.pop()} beside it')
  return {
    split: _without_blank_end(
      _lines(tree, files[source]),
      _lines(tree, files[target]),
      ' and '.join(tree.names[files[language]] for language in (source, target)),
    )
    for split, files in found.items()
  }


def _one_file(tree: Tree, columns: Sequence[int]) -> dict[str, Lines]:
  """The splits in files with tabs."""
  splits = {}
  for number, name in enumerate(tree.names):
    match = _TABS.fullmatch(name.rpartition('/')[2])
    lines = _lines(tree, number) if match else ()
    if lines and '\t' in lines[0]:
      if match['split'] in splits:
        raise UserError(f'{splits[match["split"]].name} and {name} are both {match["split"]}')
      splits[match['split']] = _columns(lines, columns, name)
  if len(splits) != 1:
    return splits
  (lines,) = splits.values()
  lines = sentences.without_empty(lines, training=True)
  # By sentence, not by line: the same one recurs with other translations.
  test = [zlib.crc32(sentence.encode()) % HELD_OUT == 0 for sentence in lines.source]
  parts = {TRAIN: _part(lines, [not held_out for held_out in test]), 'test': _part(lines, test)}
  return {
    split: part for split, part in parts.items() if part.source
  }  # of a few nothing is held out


def _columns(lines: Sequence[str], columns: Sequence[int], name: str) -> Lines:
  blank = [''] * (max(columns) + 1)
  rows = [line.split('\t') if line.strip() else blank for line in lines]
  for i, row in enumerate(rows):
    if len(row) <= max(columns):
      raise UserError(
        f'{name}: line {i + 1} has {len(row)} columns, and column {max(columns)} is wanted '
        '(from 0)\nseparate the languages by a tab, or set data.columns'
      )
  return _without_blank_end(*([row[column] for row in rows] for column in columns), name)


def _without_blank_end(source: Sequence[str], target: Sequence[str], name: str) -> Lines:
  """The pairs up to the last in which a side says something."""
  last = max(
    (i for side in (source, target) for i, line in enumerate(side, 1) if line.strip()), default=0
  )
  return Lines(source[:last], target[:last], name)


def _part(lines: Lines, chosen: Sequence[bool]) -> Lines:
  texts = ([line for line, take in zip(side, chosen) if take] for side in lines[:2])
  return Lines(*texts, lines.name)


def _lines(tree: Tree, number: int) -> list[str]:
  """The lines of a file, whatever ends them on the machine that wrote it."""
  name = tree.names[number]
  try:
    content = tree(number)
  except (ImageError, OSError, EOFError, zlib.error) as error:
    raise UserError(f'{name} is damaged: {error}\nfetch or pack it again') from None
  lines = decode(name, content).split(
    '\n'
  )  # not splitlines: sentences hold other characters that it takes for ends
  return [line.removesuffix('\r') for line in (lines[:-1] if not lines[-1] else lines)]
