"""Running text as words and windows: the vocabulary, what chance leaves out, and any step."""

import gzip
import zipfile

import numpy as np
import pytest

from vitlab.data.pipeline import train_batches
from vitlab.data.sets import word_windows
from vitlab.errors import UserError

TEXT = "The dog's bone.\n\nA dog, a DOG and a cat\nthe dog saw a cat-like dog\n"


@pytest.fixture
def text(tmp_path):
  path = tmp_path / 'text.txt'
  path.write_text(TEXT)
  return path


def make(path, **spec):
  return word_windows.make(
    str(path), **dict(min_count=1, subsample=0.0, shrink=False, row=64) | spec
  )


def sentences(dataset, row=0):
  """Every word with its context, as words."""
  words, one = dataset.facts['vocabulary'], dataset.splits['train'][row]
  text = [words[i] for i in one['tokens']]
  return [
    (text[i], text[i - left : i] + text[i + 1 : i + right + 1])
    for i, (left, right) in enumerate(one['window'])
    if left + right
  ]


def test_words_are_counted_and_rare_ones_left_out_before_windows_are_measured(text):
  dataset = make(text, min_count=2, window=2)
  assert dataset.facts['vocabulary'] == ['a', 'dog', 'the', 'cat']
  assert dataset.facts['counts'] == [4, 4, 2, 2]
  assert sentences(dataset)[-3:-1] == [
    ('a', ['the', 'dog', 'cat', 'dog']),
    ('cat', ['dog', 'a', 'dog']),
  ]
  assert dataset.facts['window'] == 2 and dataset.facts['vocab_size'] == 4


def test_no_window_leaves_its_line(text):
  dataset = make(text, window=3)
  found = sentences(dataset)
  assert found[:3] == [
    ('the', ["dog's", 'bone']),
    ("dog's", ['the', 'bone']),
    ('bone', ['the', "dog's"]),
  ]
  assert found[3] == ('a', ['dog', 'a', 'dog'])


def test_case_and_punctuation_stay_where_asked(text):
  words = make(text, lower=False, tokenise='spaces').facts['vocabulary']
  assert {'The', 'dog,', 'DOG', "dog's", 'bone.', 'cat-like'} <= set(words)


@pytest.mark.parametrize('kind', ['gz', 'folder', 'zip'])
def test_a_text_is_the_same_wherever_it_lies(text, tmp_path, kind):
  place = tmp_path / ('text.txt.gz' if kind == 'gz' else f'text_{kind}')
  if kind == 'gz':
    place.write_bytes(gzip.compress(TEXT.encode()))
  elif kind == 'folder':
    place.mkdir()
    for number, line in enumerate(TEXT.splitlines(keepends=True)):
      (place / f'{number}.txt').write_text(line)
  else:
    with zipfile.ZipFile(place, 'w') as file:
      file.writestr('inside/text.txt', TEXT)
  assert make(place).facts == make(text).facts
  assert sentences(make(place)) == sentences(make(text))


@pytest.fixture(scope='module')
def long(tmp_path_factory):
  """Ten thousand words, of which one is every second."""
  path = tmp_path_factory.mktemp('long') / 'long.txt'
  words = np.random.default_rng(0).integers(0, 200, 10_000)
  words[::2] = 0
  path.write_text('\n'.join(' '.join(f'w{w}' for w in part) for part in np.split(words, 50)))
  return path


def test_frequent_words_are_left_out_as_often_as_word2vec_does(long):
  dataset = word_windows.make(str(long), subsample=1e-2, row=1000, shrink=False)
  rows = dataset.splits['train']
  whole = np.concatenate([rows[i]['tokens'][rows[i]['window'].any(-1)] for i in range(len(rows))])
  share = np.array(dataset.facts['counts']) / 10_000
  kept = np.bincount(whole, minlength=len(share)) / dataset.facts['counts']
  np.testing.assert_allclose(kept[0], np.sqrt(1e-2 / share[0]) + 1e-2 / share[0], atol=0.02)
  assert kept[1:].min() > 0.9
  assert len(rows[0]['tokens']) < 800  # less is computed with


def test_windows_are_drawn_evenly(long):
  rows = word_windows.make(str(long), subsample=0.0, row=1000, window=4).splits['train']
  reach = np.concatenate([rows[i]['window'].max(-1) for i in range(len(rows))])
  np.testing.assert_allclose(np.bincount(reach)[1:] / len(reach), 0.25, atol=0.02)


def test_a_batch_depends_on_seed_and_step_alone_and_epochs_differ(long):
  rows = word_windows.make(str(long), row=500, subsample=1e-2).splits['train']

  def batches(start, seed=0, index=0, count=1, take=3):
    found = train_batches(
      rows, batch_size=4, seed=seed, start=start, process_index=index, process_count=count
    )
    with_them = [next(found) for _ in range(take)]
    found.close()
    return with_them

  whole = batches(5)
  for (batch, again), later in zip(zip(whole[1:], batches(6, take=2)), whole[:2]):
    np.testing.assert_array_equal(batch['tokens'], again['tokens'])
    assert not np.array_equal(batch['tokens'], later['tokens'])
  for key in ('tokens', 'window'):
    parts = [batches(5, index=i, count=2, take=1)[0][key] for i in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[0][key])
  assert not np.array_equal(batches(5, seed=1, take=1)[0]['tokens'], whole[0]['tokens'])
  numbers = np.concatenate([rows.order(step, 4, 0) for step in range(10)])
  assert sorted(numbers[:20] % 20) == sorted(numbers[20:] % 20) == list(range(20))
  drawn = numbers // 20
  assert len(set(drawn[:20])) == len(set(drawn[20:])) == 1 and drawn[0] != drawn[-1]


def test_the_words_are_a_split(text):
  dataset = make(text)
  words = dataset.splits['words']
  assert [int(words[i]['tokens']) for i in range(len(words))] == list(range(len(words)))
  assert len(words) == dataset.facts['vocab_size']


@pytest.mark.parametrize(
  'content, spec, message',
  [
    (b'', {}, '0 words'),
    (b'a b c', dict(min_count=2), '3 words, of which 0 occur 2 times'),
    (b'good\nb\xff\n', {}, 'UTF-8'),
    (b'a b', dict(tokenise='letters'), 'tokenise'),
    (b'a b', dict(window=0), 'positive'),
    (b'a b', dict(row=10), 'longer than a window'),
  ],
)
def test_bad_text_is_refused(tmp_path, content, spec, message):
  path = tmp_path / 'text.txt'
  path.write_bytes(content)
  with pytest.raises(UserError, match=message) as refused:
    make(path, **spec)
  assert len(str(refused.value).splitlines()) <= 3


def test_nothing_there_is_refused(tmp_path):
  for path in ('', tmp_path, 'nowhere'):
    with pytest.raises(UserError):
      word_windows.make(str(path))
