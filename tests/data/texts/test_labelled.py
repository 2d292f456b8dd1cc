"""Sentences and pairs are read as BERT reads them, and classes are what the labels say."""

import numpy as np
import pytest

from vitlab.data import pipeline
from vitlab.data.identity import digest_of
from vitlab.data.texts import cache, labelled
from vitlab.data.texts.tables import Labelled
from vitlab.data.vocabularies import learned, plain, published
from vitlab.errors import UserError

TEXTS = ['the dog runs', 'a cat', 'sleeps over the wall and runs and jumps again', '', 'dog'] * 4
PAIRS = ['a cat sleeps there', 'the dog', 'x', 'a dog', ''] * 4


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('bert')
  pieces = learned.wordpiece(lambda: TEXTS + PAIRS, 60).pieces
  (folder / 'vocab.txt').write_text(''.join(piece + '\n' for piece in pieces))
  return folder


@pytest.fixture(scope='module')
def theirs(folder):
  from transformers import BertTokenizerFast

  return BertTokenizerFast.from_pretrained(str(folder))


@pytest.mark.parametrize('pairs', [None, PAIRS])
@pytest.mark.parametrize('max_length', [8, 9, 12, 13, 40])
def test_rows_are_those_of_transformers(folder, theirs, pairs, max_length):
  rows = labelled.encode(published.load(folder), TEXTS, pairs, max_length)
  wanted = theirs(TEXTS, pairs, truncation=True, max_length=max_length)
  for (tokens, segments), ids, types in zip(
    rows, wanted['input_ids'], wanted['token_type_ids'], strict=True
  ):
    assert tokens.tolist() == ids and (segments - 1).tolist() == types


def test_the_longer_text_is_cut_first(theirs):
  for a in range(12):
    for b in range(12):
      for room in range(5, 14):
        words = ['dog ' * a], ['dog ' * b]
        (row,) = theirs(*words, truncation=True, max_length=room + 3).token_type_ids
        second = sum(row) - 1
        assert labelled.truncated(a, b, room) == (len(row) - 3 - second, second), (a, b, room)


def test_a_vocabulary_without_special_tokens_adds_none():
  ((tokens, segments),) = labelled.encode(plain.Bytes(), ['abc'], ['de'], 16)
  assert bytes(tokens.tolist()) == b'abcde' and segments.tolist() == [1, 1, 1, 2, 2]
  ((tokens, _),) = labelled.encode(learned.byte_bpe(lambda: ['x'], 257), ['abc'], None, 16)
  assert tokens[0] == tokens[-1] == 0 and len(tokens) == 5


def split(labels, name='x.tsv', texts=None, pairs=None):
  texts = texts or [f'text {i}' for i in range(len(labels))]
  return Labelled(name, texts, pairs, labels, [f'line {i}' for i in range(1, len(labels) + 1)])


def make(tmp_path, splits, class_names=(), **words):
  words = dict(tokenizer='bytes', vocab_size=0, max_length=32, test_fraction=0.25) | words
  build = lambda folder: labelled.build(splits, **words, class_names=class_names, folder=folder)  # noqa: E731
  return cache.cached([repr((splits, class_names, words))], build, labelled.opened, str(tmp_path))


def test_batches_hold_labels_beside_rows(tmp_path):
  texts = ['a' * n for n in range(1, 25)]
  train = split(['1', '0', '1'] * 8, texts=texts, pairs=['b'] * 24)
  source = make(tmp_path, dict(train=train, test=train)).splits['test']
  batches = list(pipeline.eval_batches(source, batch_size=7))
  for start, batch in zip(range(0, 24, 7), batches, strict=True):
    assert batch['label'].dtype == np.int32 and batch['label'].shape == (7,)
    for row in np.flatnonzero(batch['mask']).tolist():
      n = start + row + 1
      assert bytes(batch['tokens'][row, : n + 1].tolist()) == b'a' * n + b'b'
      assert batch['segments'][row].tolist()[: n + 2] == ([1] * n + [2, 0])[: n + 2]
      assert batch['label'][row] == [1, 0, 1][(start + row) % 3]
      assert source.text(start + row) == dict(text='a' * n, pair='b')
  assert {batch['tokens'].shape[1] for batch in batches} == {16, 32}
  parts = [
    list(pipeline.eval_batches(source, batch_size=8, process_index=i, process_count=4))
    for i in range(4)
  ]
  for alone, *shares in zip(pipeline.eval_batches(source, batch_size=8), *parts, strict=True):
    for key in alone:
      np.testing.assert_array_equal(np.concatenate([s[key] for s in shares]), alone[key])


def test_labels_are_numbered_by_value_or_as_said(tmp_path):
  train = split(['10', '9', '-1', '10', '9', '-1', '10', '9'])
  data = make(tmp_path, dict(train=train, test=train))
  assert data.facts['class_names'] == ['-1', '9', '10'] and data.facts['num_classes'] == 3
  assert [int(data.splits['train'][i]['label']) for i in range(3)] == [2, 1, 0]
  named = split(['neg', 'pos'] * 4)
  data = make(tmp_path, dict(train=named, test=named), class_names=('pos', 'neg'))
  assert int(data.splits['train'][0]['label']) == 1
  numbered = split(['0', '1'] * 4)
  data = make(tmp_path, dict(train=numbered, test=numbered), class_names=('bad', 'good'))
  assert data.facts['class_names'] == ['bad', 'good']
  assert int(data.splits['train'][1]['label']) == 1


def test_a_part_of_every_class_is_held_out(tmp_path):
  data = make(tmp_path, dict(train=split(['a'] * 8 + ['b'] * 16)))
  labels = {s: [int(x[i]['label']) for i in range(len(x))] for s, x in data.splits.items()}
  assert (labels['train'], labels['test']) == ([0] * 6 + [1] * 12, [0] * 2 + [1] * 4)
  texts = [source.text(i)['text'] for source in data.splits.values() for i in range(len(source))]
  assert sorted(texts) == sorted(f'text {i}' for i in range(24))


def test_damage_is_made_anew_and_the_digest_knows_the_labels(tmp_path):
  splits = [dict(train=split(labels * 4, texts=['x'] * 8)) for labels in (['a', 'b'], ['b', 'a'])]
  first, other = (make(tmp_path, s | dict(test=s['train'])) for s in splits)
  assert digest_of(first.splits['train']) != digest_of(other.splits['train'])
  for file in tmp_path.glob('*/train.npz'):
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
  again = make(tmp_path, splits[0] | dict(test=splits[0]['train']))
  assert digest_of(again.splits['train']) == digest_of(first.splits['train'])


def test_empty_texts_are_left_out_of_training_alone(tmp_path, caplog):
  full, holed = split(['a', 'b'] * 4), split(['a', 'b'] * 4, texts=['x', ' '] + ['y'] * 6)
  assert len(make(tmp_path, dict(train=holed, test=full)).splits['train']) == 7
  assert 'x.tsv: 1 empty texts are left out, the first of line 2' in caplog.text
  with pytest.raises(UserError, match='the text of line 2 is empty'):
    make(tmp_path, dict(train=full, test=holed))


TWO = split(['a', 'b'] * 3)
REFUSED = [
  (dict(train=split([*'aabcc'])), {}, r"the label 'b' occurs once in 'train' \(line 3"),
  (dict(train=TWO, test=split(['a', 'z'])), {}, "line 2 has the label 'z', which"),
  (dict(train=split(['a'] * 9)), {}, "all texts have the label 'a'"),
  (dict(train=split([*map(str, range(50))])), {}, '50 different labels of 50 texts are no'),
  (dict(test=split(['a', 'b'])), {}, "no split 'train', only test"),
  (dict(train=TWO), dict(class_names=('x', 'y')), "'a', 'b' are not those of"),
  (dict(train=TWO), dict(class_names=('a', 'b', 'c')), "'c' occurs never"),
  (dict(train=TWO), dict(test_fraction=1.5), 'data.test_fraction=1.5'),
  (dict(train=split([*'abab'], texts=[' '] * 4), test=TWO), {}, 'no text that is not empty'),
  (dict(train=TWO), dict(tokenizer='nothing'), "unknown tokenizer 'nothing'"),
]


@pytest.mark.parametrize('splits, words, message', REFUSED)
def test_what_cannot_be_learned_is_said(tmp_path, splits, words, message):
  with pytest.raises(UserError, match=message) as error:
    make(tmp_path, splits, **words)
  assert str(error.value).count('\n') < 3
