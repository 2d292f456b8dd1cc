"""Rows of a text: where they begin, what is scored, and that processes share them."""

import collections
import itertools
import pickle

import numpy as np
import pytest

from vitlab.data import pipeline
from vitlab.data.identity import digest_of
from vitlab.data.texts.encoded import Encoded
from vitlab.data.texts.rows import Lanes, Packed, Passages, Sliding, Windows, WithWords

T = 8


class Numbers(Encoded):
  """A split whose tokens are 1, 2, 3, ..., in documents of these lengths."""

  tokens = spans = None  # those of Encoded lie in files

  def __init__(self, *lengths, between=0):
    ends = np.cumsum(np.array(lengths) + between) - between
    self.spans = np.stack([ends - np.array(lengths), ends], axis=1)
    self.tokens = np.arange(1, ends[-1] + 1).astype(np.uint16)
    self.checksum, self.between = 7, between

  def __len__(self):
    return len(self.tokens)

  def __getstate__(self):
    return self.__dict__


def take(source, count, batch_size=4, **words):
  batches = pipeline.train_batches(source, batch_size=batch_size, **dict(seed=0) | words)
  taken = list(itertools.islice(batches, count))
  batches.close()
  return taken


SOURCES = dict(
  windows=Windows(Numbers(100), T),
  lanes=Lanes(Numbers(131), T),
  packed=Packed(Numbers(*range(1, 40)), T, 0, 0, 9),
  passages=Passages(Numbers(100), T, 1, 0, 9),
  words=WithWords(Windows(Numbers(100), T), np.arange(200) % 3 == 0),
)


@pytest.mark.parametrize('name', SOURCES)
@pytest.mark.parametrize('processes', [2, 4])
def test_processes_share_batches_and_any_step_can_be_asked_for(name, processes):
  source = SOURCES[name]
  alone = take(source, 40)
  parts = [
    take(source, 15, start=25, process_index=i, process_count=processes) for i in range(processes)
  ]
  for batch, *shares in zip(alone[25:], *parts, strict=True):
    for key in batch:
      np.testing.assert_array_equal(np.concatenate([s[key] for s in shares]), batch[key])
    assert batch['tokens'].shape == (4, T + 1) and batch['tokens'].dtype == np.int32
  other = take(source, 40, seed=1)
  assert any((a['tokens'] != b['tokens']).any() for a, b in zip(alone, other))
  again = pickle.loads(pickle.dumps(source))
  np.testing.assert_array_equal(again[3]['tokens'], source[3]['tokens'])


def test_every_window_is_as_likely_as_any():
  """Chi-squared over 92 places; 91 degrees of freedom exceed 150 once in 1e4."""
  source = Windows(Numbers(100), T)
  assert len(source) == 100 - T
  seen = collections.Counter()
  for batch in take(source, 460, batch_size=20):
    np.testing.assert_array_equal(np.diff(batch['tokens']), 1)
    seen.update(batch['tokens'][:, 0].tolist())
  assert min(seen) == 1 and max(seen) == 100 - T
  counts = np.array([seen[i] for i in range(1, 93)])
  assert ((counts - 100) ** 2 / 100).sum() < 150


def test_rows_of_one_batch_are_drawn_anew():
  starts = [batch['tokens'][:, 0].tolist() for batch in take(Windows(Numbers(14), T), 50)]
  assert any(len(set(row)) < 4 for row in starts) and len(set(map(tuple, starts))) > 10


@pytest.mark.parametrize('length', [129, 131, 200])
@pytest.mark.parametrize('batch_size', [1, 3, 4])
def test_lanes_go_on_where_they_were(length, batch_size):
  source = Lanes(Numbers(length), T)
  taken = take(source, 60, batch_size=batch_size)
  batches = [batch['tokens'] for batch in taken]
  last = (length - 1) // T * T + 1  # the token that ends the last row
  for before, after in itertools.pairwise(batches):
    np.testing.assert_array_equal(after[:, 0], np.where(before[:, -1] == last, 1, before[:, -1]))
  for batch in taken:
    np.testing.assert_array_equal(batch['restart'], batch['tokens'][:, 0] == 1)
  for row in batches:
    assert len(set(row[:, 0].tolist())) == batch_size
  epoch = np.concatenate(batches[: len(source) // batch_size])
  assert len(set(epoch[:, 1:].ravel().tolist())) == len(source) // batch_size * batch_size * T


@pytest.mark.parametrize('length', [8, 9, 10, 16, 23, 100])
@pytest.mark.parametrize('stride', [1, 3, 8])
def test_a_sliding_window_scores_every_token_once(length, stride):
  source = Sliding(Numbers(length), T, stride, begin=0)
  scored = collections.Counter()
  for number, row in enumerate(map(source.__getitem__, range(len(source)))):
    np.testing.assert_array_equal(np.diff(row['tokens']), 1)
    assert row['tokens'].shape == (T + 1,) and row['scored'].shape == (T,)
    scored.update(row['tokens'][1:][row['scored']].tolist())
    first = int(np.argmax(row['scored']))  # so many and one tokens are read before it
    assert row['scored'][first:].all() and (number == 0 or first >= T - stride)
  assert scored == collections.Counter(range(1, length + 1))
  assert len(source) == 1 + -(-(length - T) // stride)


@pytest.mark.parametrize('stride', [0, 3, 8])
@pytest.mark.parametrize('end', [None, 9999])
def test_packed_documents_keep_their_tokens_and_segments(stride, end):
  between = int(end is not None)
  split = Numbers(*[3, 1, 30, 7, 2, 8, 9, 5] * 3, between=between)
  source = Packed(split, T, stride, begin=7777, end=end)
  wanted = [split.tokens[a:b].tolist() + [end] * between for a, b in split.spans]
  said = []
  for row in map(source.__getitem__, range(len(source))):
    tokens, segments = row['tokens'], row['segments']
    assert tokens.shape == segments.shape == (T + 1,)
    assert (np.diff(segments) <= 1).all() and segments[0] == 1 and not tokens[segments == 0].any()
    same = (segments[1:] == segments[:-1]) & (segments[1:] > 0)
    scored = row['scored'] if stride else same
    assert (scored <= same).all()  # no token is said from those of another document
    said += tokens[1:][scored].tolist()
    for segment in range(1, segments.max() + 1):
      inside = tokens[segments == segment]
      assert (inside[1:] != 7777).all()
      assert inside[0] == 7777 or len(inside) > 1
  assert sorted(said) == sorted(token for document in wanted for token in document)


@pytest.mark.parametrize('t, stride', [(8, 1), (9, 1), (8, 8)])
def test_passages_follow_each_other_in_half_of_the_rows(t, stride):
  source = Passages(Numbers(1000), t, stride, cls=2000, sep=3000)
  rows = [source[i] for i in range(len(source))]
  places, labels, seconds = [], [], []
  for row in rows:
    tokens, segments = row['tokens'].tolist(), row['segments'].tolist()
    assert len(tokens) == len(segments) == t + 1
    end = segments.index(2)
    assert tokens[0] == 2000 and tokens[end - 1] == tokens[-1] == 3000
    first, second = tokens[1 : end - 1], tokens[end:-1]
    assert np.ptp(np.diff(first)) == 0 and (np.diff(second) == 1).all()
    assert row['label'] == (second[0] != first[-1] + 1)
    places.append(first[0])
    labels.append(row['label'])
    seconds.append(second[0])
  assert places == list(range(1, 1 + stride * len(rows), stride))
  assert places[-1] + t - 3 + stride > 1000  # the last row that there is room for
  if stride == 1:
    assert 0.45 < np.mean(labels) < 0.55
    assert np.ptp(seconds) > 980 and len({*seconds}) > 600
    assert abs(np.corrcoef(labels[1:], labels[:-1])[0, 1]) < 0.1


def test_rows_say_where_words_begin():
  source = SOURCES['words']
  for row in (source[5], *take(source, 2, batch_size=3)):
    np.testing.assert_array_equal(row['begins'], row['tokens'] % 3 == 0)
  assert source[0]['begins'].dtype == bool


def test_digests_know_the_text_and_how_it_is_dealt_out():
  split = Numbers(100)
  sources = [Windows(split, 8), Windows(split, 9), Lanes(split, 8), Windows(Numbers(90), 8)]
  sources += [Sliding(split, 8, s, 0) for s in (1, 2)] + [Packed(split, 8, s, 0, 1) for s in (0, 2)]
  sources += [Passages(split, 8, 1, 0, 1)]
  assert len({digest_of(source) for source in sources}) == len(sources)
  assert digest_of(Windows(Numbers(100), 8)) == digest_of(sources[0])
