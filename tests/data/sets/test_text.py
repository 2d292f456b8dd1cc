"""A text becomes splits of rows and the facts that a language model needs."""

import json
import pathlib
import re
import time

import numpy as np
import pytest
import tensorflow_datasets
from _helpers import text as language
from _helpers.real_data import ROOT

from vitlab.data import pipeline, splits, tokenizers, vocabularies
from vitlab.data.sets import text
from vitlab.data.texts import reading
from vitlab.errors import UserError

BOOK = '\n'.join(language.sentences(400)[0]) + '\n'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  return tmp_path_factory.mktemp('text')


@pytest.fixture(scope='module')
def book(root):
  (root / 'book.txt').write_text(BOOK)
  return str(root / 'book.txt')


@pytest.fixture
def make(root):
  return lambda path, **words: text.make(
    path, **dict(context=16, cache=str(root / 'cache')) | words
  )


def scored(source):
  """All tokens that an evaluation scores, in order."""
  batches = pipeline.eval_batches(source, batch_size=7)
  return np.concatenate(
    [b['tokens'][:, 1:][b['scored'] & b['mask'][:, None]] for b in batches], dtype=np.int32
  )


def test_a_book_is_divided_as_nanogpt_does(book, make):
  data = make(book)
  train, val = BOOK[: int(len(BOOK) * 0.9)], BOOK[int(len(BOOK) * 0.9) :]
  vocabulary = tokenizers.of(data.facts)
  assert vocabulary.pieces == sorted(set(BOOK))
  assert vocabulary.decode(np.asarray(data.splits['train'].tokens)) == train
  assert vocabulary.decode(scored(data.splits['val'])) == val
  assert data.facts['vocab_size'] == len(set(BOOK)) and data.facts['context'] == 16
  assert data.facts['sizes'] == {
    name: dict(tokens=len(part), characters=len(part), bytes=len(part.encode()))
    for name, part in (('train', train), ('val', val))
  }
  json.dumps(data.facts)


@pytest.mark.parametrize(
  'tokenizer, vocab_size', [('bytes', 0), ('bpe', 310), ('wordpiece', 60), ('byte_bpe', 280)]
)
def test_bits_are_of_the_same_text_whatever_the_tokens(book, make, tokenizer, vocab_size):
  data = make(book, tokenizer=tokenizer, vocab_size=vocab_size)
  assert data.facts['vocab_size'] == (vocab_size or 256)
  vocabulary = tokenizers.of(data.facts)
  val, tokens = BOOK[int(len(BOOK) * 0.9) :], scored(data.splits['val'])
  wanted = re.sub(r'\s+', ' ', val).strip().replace('ü', 'u') if tokenizer == 'wordpiece' else val
  said = vocabulary.decode(tokens)
  assert said.replace(' !', '!').replace(' .', '.') == wanted or said == wanted
  sizes = data.facts['sizes']['val']
  assert sizes == dict(tokens=len(tokens), characters=len(val), bytes=len(val.encode()))
  np.testing.assert_array_equal(tokens, vocabulary.encode([val])[0])


def test_the_vocabulary_of_a_run_is_used_again(book, make, tmp_path):
  learned = make(book, tokenizer='byte_bpe', vocab_size=280)
  (tmp_path / 'facts.json').write_text(json.dumps(learned.facts))
  (tmp_path / 'other.txt').write_text(BOOK[:1000])
  again = make(str(tmp_path / 'other.txt'), tokenizer=str(tmp_path))
  assert again.facts['tokenizer'] == learned.facts['tokenizer']
  with pytest.raises(UserError, match='unknown tokenizer'):
    make(book, tokenizer=str(tmp_path / 'none'))


def test_files_of_splits(make, tmp_path):
  for name, content in dict(train='abcd' * 10, valid='dcba' * 5, test='aabb' * 5).items():
    (tmp_path / f'{name}.txt').write_text(content)
  data = make(str(tmp_path))
  assert set(data.splits) == {'train', 'val', 'test'}
  assert tokenizers.of(data.facts).decode(scored(data.splits['test'])) == 'aabb' * 5
  assert len(splits.select(data, 'val[:50%]')) < len(data.splits['val'])
  with pytest.raises(UserError, match='order of their own'):
    splits.select(data, 'train[:50%]')
  (tmp_path / 'train.txt').unlink()
  assert set(make(str(tmp_path)).splits) == {'val', 'test'}
  with pytest.raises(UserError, match="learned from the split 'train'; there are only test, val"):
    make(str(tmp_path), tokenizer='byte_bpe')


def test_the_end_of_a_file_is_a_token(make, tmp_path):
  for name in 'abc':
    (tmp_path / f'{name}.txt').write_text(f'the dog {name}')
  words = dict(context=2, fractions=(1.0,))
  tokens = make(str(tmp_path), tokenizer='byte_bpe', vocab_size=257, **words).splits['train'].tokens
  assert np.flatnonzero(tokens == 0).tolist() == [9, 19]
  tokens = make(str(tmp_path), **words).splits['train'].tokens
  assert len(tokens) == 27  # characters have none


@pytest.mark.parametrize('order', text.ORDERS)
def test_orders_of_training(book, make, order):
  data = make(book, order=order)
  first, second = (
    next(pipeline.train_batches(data.splits['train'], batch_size=3, seed=0, start=start))['tokens']
    for start in (0, 1)
  )
  assert (order == 'lanes') == np.array_equal(first[:, -1], second[:, 0])


def test_an_evaluation_may_read_longer_rows(book, make):
  data = make(book, context=8, eval_context=24, stride=20)
  assert data.splits['train'][0]['tokens'].shape == (9,) and data.facts['context'] == 8
  rows = [data.splits['val'][i] for i in range(len(data.splits['val']))]
  assert {row['tokens'].shape for row in rows} == {(25,)}
  assert sum(row['scored'].sum() for row in rows) == data.facts['sizes']['val']['tokens']
  assert rows[1]['scored'].sum() == 20


@pytest.mark.parametrize('tokenizer', ['chars', 'byte_bpe'])
def test_lines_are_packed(book, make, tokenizer):
  data = make(book, pack='line', tokenizer=tokenizer, vocab_size=280, context=64)
  vocabulary = tokenizers.of(data.facts)
  lines = [line for line in BOOK.split('\n') if line]
  count = int(len(lines) * 0.9)
  for split, part in (('train', lines[:count]), ('val', lines[count:])):
    said, tokens = [], 0
    for row in map(data.splits[split].__getitem__, range(len(data.splits[split]))):
      inside = (row['segments'][1:] == row['segments'][:-1]) & (row['segments'][1:] > 0)
      tokens += row.get('scored', inside).sum()
      for segment in range(1, row['segments'].max() + 1):
        document = row['tokens'][row['segments'] == segment]
        end = len(document) - (tokenizer == 'byte_bpe')
        said.append(vocabulary.decode(document[1:end]))
    if tokenizer == 'byte_bpe':  # as characters, some are longer than a row
      assert sorted(said) == sorted(part)
    assert data.facts['sizes'][split]['tokens'] == tokens
    assert data.facts['sizes'][split]['characters'] == sum(map(len, part))


def test_passages_and_whole_words(book, make):
  data = make(book, tokenizer='wordpiece', vocab_size=50, order='passages', words=True)
  vocabulary = tokenizers.of(data.facts)
  for split in ('train', 'val'):
    row = data.splits[split][3]
    pieces = [vocabulary.pieces[token] for token in row['tokens']]
    assert (pieces[0], pieces[8], pieces[16]) == ('[CLS]', '[SEP]', '[SEP]')
    assert row['begins'].tolist() == [not piece.startswith('##') for piece in pieces]
    assert {*row} == {'tokens', 'segments', 'label', 'begins'}
  assert data.facts['special']['mask'] == vocabulary.special.mask


@pytest.mark.parametrize('tokenizer', ['byte_bpe', 'bpe'])
def test_words_begin_after_spaces(book, make, tokenizer):
  data = make(book, tokenizer=tokenizer, vocab_size=290, words=True)
  begins = vocabularies.begins(tokenizers.of(data.facts))
  pieces = np.array(tokenizers.of(data.facts).pieces)
  assert begins[np.char.startswith(pieces, ('Ġ', '▁')[tokenizer == 'bpe'])].all()
  assert not begins[np.isin(pieces, ['ee', 'o', 'll', 'x'])].any() and begins[pieces == '!'].all()


class TinyText(tensorflow_datasets.core.GeneratorBasedBuilder):
  """Texts as TFDS has them."""

  VERSION = tensorflow_datasets.core.Version('1.0.0')
  BUILDER_CONFIGS = []

  def _info(self):
    features = tensorflow_datasets.features.FeaturesDict(
      dict(text=tensorflow_datasets.features.Text())
    )
    return tensorflow_datasets.core.DatasetInfo(builder=self, features=features)

  def _split_generators(self, manager):
    return {split: self._generate_examples(split) for split in ('train', 'validation')}

  def _generate_examples(self, split):
    for number, line in enumerate(RECORDS[split]):
      yield number, dict(text=line)


RECORDS = dict(train=language.sentences(100)[0], validation=['über the wall.', 'the dog'])


def test_sets_of_tfds(make, tmp_path):
  TinyText(data_dir=tmp_path, file_format='array_record').download_and_prepare()
  words = dict(data_dir=str(tmp_path), fractions=(1.0,))
  data = make('tfds:tiny_text', **words)
  said = tokenizers.of(data.facts).decode(scored(data.splits['val']))
  assert said in ('über the wall.the dog', 'the dogüber the wall.')
  assert data.facts['sizes']['train']['characters'] == sum(map(len, RECORDS['train']))
  with pytest.raises(UserError, match="unknown feature of tiny_text/1.0.0 .*'line'.* text"):
    make('tfds:tiny_text', text_key='line', **words)


@pytest.mark.parametrize(
  'content, words, message',
  [
    ('', {}, 'is empty: give it text'),
    ('a' * 100, dict(tokenizer='wordpeice'), 'unknown tokenizer .*wordpeice'),
    ('ab' * 50, dict(context=200), "'train' has 90 tokens, too few for data.context=200"),
    ('ab' * 50, dict(context=11), "'val' has 10 tokens, too few for data.context=11"),
    ('a', {}, r'1 characters are too few for data.fractions=\(0.9, 0.1\)'),
    ('a\nb' * 50, dict(pack='lines'), "unknown data.pack 'lines'"),
    ('a b' * 50, dict(pack='file'), '1 documents are too few'),
    ('a' * 100, dict(order='lane'), "unknown data.order 'lane': did you mean lanes"),
    ('ab ' * 99, dict(order='passages'), r'no tokens \[CLS\] and \[SEP\]'),
    ('ab ' * 99, dict(words=True), 'do not say where a word begins'),
    ('ab ' * 99, dict(order='lanes', pack='file'), 'leave out data.order'),
    ('a' * 100, dict(stride=17), 'data.stride=17: a stride is 1 to context'),
    ('a' * 100, dict(eval_context=-1), 'data.eval_context=-1, data.stride=0: a stride is'),
    ('ab' * 50, dict(eval_context=11), "'val' has 10 tokens, too few for data.context=11"),
    ('a' * 100, dict(fractions=(0.5, 0.4)), r'data.fractions=\(0.5, 0.4\): give those of train'),
    (b'abc\nd\xff' * 50, {}, 'line 2 is not UTF-8'),
    ('abc' * 100, dict(tokenizer='bpe', vocab_size=9000), 'no bpe vocabulary of 9000'),
  ],
)
def test_what_cannot_be_used_is_said_in_a_line(make, tmp_path, content, words, message):
  (tmp_path / 'x.txt').write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(UserError, match=message) as error:
    make(str(tmp_path / 'x.txt'), **words)
  assert str(error.value).count('\n') < 3


def test_a_second_start_reads_nothing_anew(book, make, monkeypatch):
  first = make(book, tokenizer='byte_bpe', vocab_size=280)
  monkeypatch.setattr(text, '_build', lambda *_: pytest.fail('it is encoded again'))
  second = make(book, tokenizer='byte_bpe', vocab_size=280, context=8, pack='')
  assert second.facts['tokenizer'] == first.facts['tokenizer']
  pathlib.Path(book).touch()
  make(book, tokenizer='byte_bpe', vocab_size=280)


def test_the_text_that_ships_is_whole(make):
  content = reading._SONNETS.read_text(encoding='utf-8')
  assert content.count('\n\n') == 153 and len(content) == 94_653
  assert content.startswith('From fairest creatures we desire increase,\n')
  assert content.endswith("Love's fire heats water, water cools not love.\n")
  dataset = make('sonnets:')
  assert dataset.facts['vocab_size'] == len(set(content)) == 61
  sizes = dataset.facts['sizes']
  assert [sizes[name]['characters'] for name in ('train', 'val')] == [85187, 9466]


@pytest.mark.data
def test_tinyshakespeare(root):
  start = time.monotonic()
  data = text.make(str(ROOT / 'tinyshakespeare' / 'input.txt'), context=64, cache=str(root / 'c'))
  sizes = data.facts['sizes']
  assert data.facts['vocab_size'] == 65
  assert (sizes['train']['characters'], sizes['val']['characters']) == (1_003_854, 111_540)
  counts = np.bincount(data.splits['train'].tokens, minlength=65) / 1_003_854
  unigram = -np.log(counts[scored(data.splits['val'])]).mean()
  assert abs(unigram - 3.347) < 5e-3  # as stated beside the file
  assert time.monotonic() - start < 60
