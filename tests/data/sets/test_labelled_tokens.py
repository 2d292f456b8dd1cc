"""Texts whose words have tags, from wherever they lie."""

import gzip
import io
import json
import tarfile
import zipfile

import pytest

from vitlab.data.sets import labelled_tokens
from vitlab.errors import UserError

CONLL = 'good B-A\ndog I-A\n\nbad O\n\n'
JSON = '{"tokens": ["good", "dog"], "tags": ["B-A", "I-A"]}\n{"tokens": ["bad"], "tags": ["O"]}\n'
FOUND = [('good dog', ['B-A', 'I-A']), ('bad', ['O'])]


@pytest.fixture
def make(tmp_path):
  words = dict(tokenizer='bytes', max_length=32, cache=str(tmp_path / 'cache'))
  return lambda path, **more: labelled_tokens.make(str(path), **words | more)


def examples(data, split):
  found, names = [], data.facts['class_names']
  for row in map(data.splits[split].__getitem__, range(len(data.splits[split]))):
    tags = [names[i] for i in row['classes'] if i >= 0]
    found.append((bytes(row['tokens'].tolist()).decode(), tags))
  return found


@pytest.mark.parametrize('content, name', [(CONLL, 'train.conll'), (JSON, 'ner.train.jsonl')])
@pytest.mark.parametrize('kind', ['folder', 'zip', 'tar'])
def test_splits_are_called_as_their_files(make, tmp_path, kind, content, name):
  files = {name: content, name.replace('train', 'dev'): content, 'README.md': 'x'}
  files |= {f'{name.replace("train", "test")}.gz': gzip.compress(content.encode())}
  files = {key: x if isinstance(x, bytes) else x.encode() for key, x in files.items()}
  path = tmp_path / f'data.{kind}'
  if kind == 'folder':
    path.mkdir()
    for key, data in files.items():
      (path / key).write_bytes(data)
  elif kind == 'zip':
    with zipfile.ZipFile(path, 'w') as archive:
      for key, data in files.items():
        archive.writestr(key, data)
  else:
    with tarfile.open(path, 'w') as archive:
      for key, data in files.items():
        info = tarfile.TarInfo(key)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
  data = make(path)
  assert set(data.splits) == {'train', 'val', 'test'}
  assert all(examples(data, split) == FOUND for split in data.splits)
  assert (data.facts['class_names'], data.facts['num_classes']) == (['B-A', 'I-A', 'O'], 3)


def test_of_one_file_a_tenth_is_held_out(make, tmp_path):
  path = tmp_path / 'ner.txt'
  path.write_text(''.join(f'word{i} {"AB"[i % 2]}\n\n' for i in range(40)))
  data = make(path)
  parts = [examples(data, split) for split in ('train', 'test')]
  assert (
    list(map(len, parts)) == [36, 4] and len({text for part in parts for text, _ in part}) == 40
  )
  assert [examples(make(path), split) for split in ('train', 'test')] == parts
  assert len(make(path, test_fraction=0.5).splits['test']) == 20


def test_tags_may_be_numbers_with_names(make, tmp_path):
  path = tmp_path / 'ner.jsonl'
  rows = [dict(tokens=['good', 'dog'], ner_tags=[1, 0]), dict(tokens=['bad'], ner_tags=[0])]
  path.write_text('\n'.join(map(json.dumps, rows)))
  data = make(path, class_names=('O', 'B-A'), test_fraction=0.4)
  assert data.facts['class_names'] == ['O', 'B-A']
  assert sorted(examples(data, 'train') + examples(data, 'test')) == [
    ('bad', ['O']),
    ('good dog', ['B-A', 'O']),
  ]


def test_a_vocabulary_is_learned_from_train(make, tmp_path):
  (tmp_path / 'train.txt').write_text(CONLL * 9)
  (tmp_path / 'test.txt').write_text(CONLL)
  data = make(tmp_path, tokenizer='wordpiece', vocab_size=40)
  special, row = data.facts['special'], data.splits['test'][0]
  assert row['classes'].tolist() == [-1, 0, 1, -1] and row['tokens'][0] == special['cls']


@pytest.mark.parametrize(
  'files, options, says',
  [
    ({}, {}, 'no file that is called after a split'),
    ({'train.txt': ''}, {}, 'train.txt holds no text'),
    ({'dev.txt': CONLL}, {}, "no split 'train', only val"),
    ({'train.txt': CONLL, 'train.jsonl': JSON}, {}, 'are both train'),
    ({'train.txt': CONLL, 'test.txt': 'x C\n'}, {}, "unknown tag in test.txt.* 'C'"),
    ({'train.txt': CONLL}, dict(max_length=2), 'at least 8 tokens'),
    ({'train.txt': CONLL}, dict(test_fraction=1.0), 'between 0 and 1'),
    ({'train.txt': b'good \xff\n'}, {}, 'train.txt: line 1 is not UTF-8'),
    ({'train.txt': 'a A\nb B\n'}, {}, 'one text is too few'),
  ],
)
def test_what_cannot_be_used_is_named(make, tmp_path, files, options, says):
  folder = tmp_path / 'data'
  folder.mkdir()
  for name, content in files.items():
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(UserError, match=says) as error:
    make(folder, **options)
  assert len(str(error.value).splitlines()) <= 3


def test_a_path_that_is_not_there(make, tmp_path):
  for path, says in (('', 'data.path is empty'), (tmp_path / 'none', 'does not exist')):
    with pytest.raises(UserError, match=says):
      make(path)
