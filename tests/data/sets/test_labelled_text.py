"""Texts with labels from wherever they lie."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
import tensorflow_datasets
from _helpers.real_data import ROOT

from vitlab.data import tokenizers
from vitlab.data.sets import labelled_text
from vitlab.errors import UserError

WORDS = dict(tokenizer='bytes', max_length=32)
TEXTS = [('good dog', 'pos'), ('bad cat', 'neg'), ('good "cat"', 'pos'), ('bad über', 'neg')]


@pytest.fixture
def make(tmp_path):
  return lambda path, **words: labelled_text.make(
    str(path), **dict(WORDS, cache=str(tmp_path / 'cache')) | words
  )


def examples(data, split):
  source, names = data.splits[split], data.facts['class_names']
  return [(source.text(i)['text'], names[source[i]['label']]) for i in range(len(source))]


def table(rows=TEXTS, header='sentence\tlabel\n'):
  return header + ''.join(f'{text}\t{label}\n' for text, label in rows)


def packed(files, kind, path):
  if kind == 'folder':
    for name, content in files.items():
      (path / name).parent.mkdir(parents=True, exist_ok=True)
      (path / name).write_text(content)
  elif kind == 'zip':
    with zipfile.ZipFile(path, 'w') as archive:
      for name, content in files.items():
        archive.writestr(name, content)
  else:
    with tarfile.open(path, f'w:{kind}') as archive:
      for name, content in files.items():
        info = tarfile.TarInfo(name)
        info.size = len(content.encode())
        archive.addfile(info, io.BytesIO(content.encode()))
  return path


@pytest.mark.parametrize('kind', ['folder', 'zip', '', 'xz'])
def test_a_folder_a_class(make, tmp_path, kind, caplog):
  files = {
    f'imdb/{split}/{label}/{i}_7.txt': text
    for split in ('train', 'test')
    for i, (text, label) in enumerate(TEXTS)
  }
  files |= {'imdb/README': 'x', 'imdb/train/urls.txt': 'x', 'imdb/train/unsup/0_0.txt': 'x'}
  data = make(packed(files, kind, tmp_path / 'x'))
  assert sorted(examples(data, 'train')) == sorted(examples(data, 'test')) == sorted(TEXTS)
  assert data.facts['class_names'] == ['neg', 'pos'] and set(data.splits) == {'train', 'test'}
  assert '3 files left out: 1 without an ending, 1 in unsup, 1 .txt' in caplog.text
  row = data.splits['test'][0]
  assert tokenizers.of(data.facts).decode(row['tokens']) == data.splits['test'].text(0)['text']
  assert row['segments'].tolist() == [1] * len(row['tokens'])


@pytest.mark.parametrize('kind', ['folder', 'zip', 'xz'])
def test_tables_of_splits(make, tmp_path, kind, caplog):
  files = {'SST-2/train.tsv': table(), 'SST-2/dev.tsv': table(TEXTS[:2])}
  files['SST-2/test.tsv'] = 'index\tsentence\n0\tx\n'
  files['SST-2/dev_other.tsv'] = table(TEXTS[2:])
  data = make(packed(files, kind, tmp_path / 'x'))
  assert examples(data, 'train') == TEXTS and examples(data, 'val') == TEXTS[:2]
  assert examples(data, 'dev_other') == TEXTS[2:] and set(data.splits) == {
    *('train', 'val', 'dev_other')
  }
  assert 'test.tsv has no labels and is left out' in caplog.text


@pytest.mark.parametrize('name', ['x.tsv', 'x.csv', 'x.jsonl'])
def test_one_table(make, tmp_path, name):
  rows = [(f'{text} {i}', label) for i in range(5) for text, label in TEXTS]
  content = table(rows)
  if name == 'x.csv':
    content = table(rows, 'text,label\n').replace('\t', ',').replace('"', '')
  if name == 'x.jsonl':
    content = ''.join(
      f'{{"text": "{t[:3]} {i}", "label": "{y}"}}\n' for i, (t, y) in enumerate(rows)
    )
  (tmp_path / name).write_text(content)
  data = make(tmp_path / name)
  assert len(data.splits['train']) == 18 and len(data.splits['test']) == 2
  assert sorted(y for _, y in examples(data, 'test')) == ['neg', 'pos']


def test_a_second_start_reads_nothing_anew(make, tmp_path, monkeypatch):
  path = packed({'train.tsv': table(), 'dev.tsv': table()}, 'folder', tmp_path / 'x')
  first = make(path)
  monkeypatch.setattr(labelled_text, '_read', lambda *_: pytest.fail('it is read again'))
  assert examples(make(path), 'val') == examples(first, 'val') == TEXTS
  with pytest.raises(pytest.fail.Exception):
    make(path, max_length=8)
  (path / 'train.tsv').write_text(table() + 'x\tpos\n')
  with pytest.raises(pytest.fail.Exception):
    make(path)


class TinyGlue(tensorflow_datasets.core.GeneratorBasedBuilder):
  """Pairs with labels, of which those of the test set are secret."""

  VERSION = tensorflow_datasets.core.Version('1.0.0')
  BUILDER_CONFIGS = []

  def _info(self):
    features = tensorflow_datasets.features
    return tensorflow_datasets.core.DatasetInfo(
      builder=self,
      features=features.FeaturesDict(
        dict(
          premise=features.Text(), hypothesis=features.Text(), idx=np.int32,
          label=features.ClassLabel(names=['yes', 'no']),
        )
      ),
    )  # fmt: skip

  def _split_generators(self, manager):
    return {split: self._generate_examples(split) for split in ('train', 'validation', 'test')}

  def _generate_examples(self, split):
    for i in range(8):
      label = -1 if split == 'test' else i % 2
      yield i, dict(premise=f'{split} {i}', hypothesis='über', idx=i, label=label)


def test_sets_of_tfds(make, tmp_path, caplog):
  TinyGlue(data_dir=tmp_path, file_format='array_record').download_and_prepare()
  words = dict(data_dir=str(tmp_path))
  data = make('tfds:tiny_glue', **words)
  assert data.facts['class_names'] == ['yes', 'no'] and set(data.splits) == {'train', 'val'}
  for i in range(8):
    example, said = data.splits['val'][i], data.splits['val'].text(i)
    number = int(said['text'].removeprefix('validation '))
    assert said['pair'] == 'über' and example['label'] == number % 2
    assert set(example['segments'].tolist()) == {1, 2}
  assert 'tiny_glue/1.0.0: test has no labels' in caplog.text
  with pytest.raises(UserError, match="no column data.text='x'; the columns are "):
    make('tfds:tiny_glue', text='x', **words)


@pytest.mark.parametrize(
  'files, words, message',
  [
    ({'train.tsv': ''}, {}, 'train.tsv is empty'),
    ({'train.tsv': 'index\tsentence\n1\tx\n'}, {}, 'train.tsv has no column of labels'),
    ({'train.tsv': 'a\tb\n1\tx\n'}, {}, 'no column that is known to hold the text'),
    ({'train.tsv': table(), 'training.tsv': table()}, {}, 'are both train'),
    ({'train.tsv': table(TEXTS[:3])}, {}, "the label 'neg' occurs once"),
    ({'a.jpg': ''}, {}, r'holds no table .*\n1 file left out: 1 .jpg'),
    ({'train.tsv': table()}, dict(max_length=2), 'data.max_length=2'),
  ],
)
def test_what_cannot_be_used_is_said_in_a_line(make, tmp_path, files, words, message):
  with pytest.raises(UserError, match=message) as error:
    make(packed(files, 'folder', tmp_path / 'x'), **words)
  assert str(error.value).count('\n') < 3


def test_nothing_there(make, tmp_path):
  (tmp_path / 'x.txt').write_bytes(b'a')
  for path, message in (
    ('', 'data.path is empty'),
    (tmp_path / 'none.tsv', 'does not exist'),
    (tmp_path / 'x.txt', 'is no archive'),
  ):
    with pytest.raises(UserError, match=message):
      make(path)
  (tmp_path / 'x.tsv').write_bytes(b'text\tlabel\n\xff\t1\n')
  with pytest.raises(UserError, match='line 2 is not UTF-8'):
    make(tmp_path / 'x.tsv')


@pytest.mark.data
def test_sst2_in_its_own_order_of_columns(make):
  data = make(ROOT / 'sst2')
  sizes = {split: len(source) for split, source in data.splits.items()}
  assert sizes == dict(train=67_349, val=872, test=1_821)
  labels = [data.splits['test'][i]['label'] for i in range(1_821)]
  np.testing.assert_array_equal(np.bincount(labels), [912, 909])


@pytest.mark.data
def test_imdb_straight_out_of_a_compressed_tar(make):
  data = make(ROOT / 'imdb' / 'aclImdb_labelled.tar.xz')
  assert data.facts['class_names'] == ['neg', 'pos']
  for split in ('train', 'test'):
    labels = [data.splits[split][i]['label'] for i in range(25_000)]
    np.testing.assert_array_equal(np.bincount(labels), [12_500, 12_500])
