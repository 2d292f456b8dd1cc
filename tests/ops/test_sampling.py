"""Distributions and what is kept of them, against NumPy."""

from functools import partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy import special, stats
from transformers.generation.logits_process import TopPLogitsWarper

from vitlab.ops import sampling
from vitlab.ops.tokens import BOS, PAD


def test_nobody_says_padding_or_the_beginning():
  logits = jnp.array([5.0, 4.0, 1.0, 2.0])
  expected = [-np.inf, -np.inf, *special.log_softmax(logits)[2:]]
  np.testing.assert_allclose(sampling.sayable(logits), expected, rtol=1e-6)


def kept(logits):
  return np.flatnonzero(np.isfinite(logits)).tolist()


def test_the_largest_are_kept_and_of_equals_the_first():
  logits = jnp.array([1.0, 3.0, 2.0, 3.0, 2.0, 2.0])
  expected = {
    1: [1],
    2: [1, 3],
    3: [1, 2, 3],
    4: [1, 2, 3, 4],
    6: [0, 1, 2, 3, 4, 5],
    9: [*range(6)],
  }
  for k, wanted in expected.items():
    found = sampling.keep_top_k(logits, k)
    assert kept(found) == wanted
    np.testing.assert_array_equal(found[np.array(wanted)], logits[np.array(wanted)])


@pytest.mark.parametrize(
  'p, expected',
  [
    (0.0, [3]),  # one at least
    (0.3, [3]),
    (0.5, [1, 3]),  # the one with which it is reached is kept
    (0.75, [0, 1, 3]),
    (0.95, [0, 1, 3, 4]),
    (0.99, [0, 1, 2, 3, 4]),
  ],
)
def test_the_nucleus_reaches_its_probability(p, expected):
  probability = jnp.array([0.2, 0.3, 0.04, 0.4, 0.06])
  assert kept(sampling.keep_top_p(jnp.log(probability), p)) == expected
  rows = jnp.stack([jnp.log(probability), jnp.log(probability)[::-1]])  # each row for itself
  assert kept(sampling.keep_top_p(rows, p)[1]) == sorted(4 - i for i in expected)


def test_a_nucleus_that_is_reached_exactly_has_no_more():
  logits = jnp.zeros(8).at[5].set(-jnp.inf).at[0:3].set(-jnp.inf)  # four equals
  for p, expected in ((0.25, [3]), (0.5, [3, 4]), (0.51, [3, 4, 6])):
    assert kept(sampling.keep_top_p(logits, p)) == expected


def test_the_nucleus_is_the_smallest_set(rows=50, vocab=30):
  rng = np.random.default_rng(0)
  logits = rng.normal(0, 2, (rows, vocab)).astype(np.float32)
  found = np.isfinite(sampling.keep_top_p(jnp.asarray(logits), 0.8))
  probability = special.softmax(logits.astype(np.float64), axis=-1)
  for row, mask in zip(probability, found):
    assert row[mask].sum() >= 0.8
    assert row[mask].sum() - row[mask].min() < 0.8
    assert row[mask].min() >= row[~mask].max()
  assert len(set(found.sum(-1))) > 5


@pytest.mark.parametrize(
  'p, parts',
  [
    (0.35, (7, 6, 4, 3)),
    (0.4, (8, 5, 4, 3)),
    (0.65, (8, 5, 4, 3)),
    (0.8, (9, 7, 3, 1)),
    (0.85, (9, 8, 2, 1)),
    (0.6, (12, 5, 2, 1)),
    (0.95, (14, 3, 2, 1)),
  ],
)
def test_a_nucleus_that_is_reached_exactly_is_that_of_hugging_face(p, parts):
  logits = np.log(np.array([parts]) / 20).astype(np.float32)
  theirs = TopPLogitsWarper(top_p=p)(None, torch.tensor(logits)).numpy()
  np.testing.assert_array_equal(sampling.keep_top_p(jnp.array(logits), p), theirs)


@pytest.mark.parametrize('p', [0.0, 0.1, 0.5, 0.9, 0.999])
def test_every_nucleus_is_that_of_hugging_face(p):
  logits = np.random.default_rng(2).normal(0, 3, (200, 50)).astype(np.float32)
  logits[:, :2] = -np.inf
  theirs = TopPLogitsWarper(top_p=p)(None, torch.tensor(logits)).numpy()
  np.testing.assert_array_equal(sampling.keep_top_p(jnp.array(logits), p), theirs)


@pytest.mark.parametrize(
  'options',
  [
    {},
    dict(temperature=0.5),
    dict(temperature=2.0),
    dict(top_k=4),
    dict(top_p=0.7),
    dict(temperature=1.6, top_k=5, top_p=0.8),
  ],
)
def test_tokens_come_as_often_as_they_are_probable(options):
  """A test of goodness of fit with a fixed key."""
  rng, count = np.random.default_rng(1), 20_000
  log_probability = sampling.sayable(jnp.asarray(rng.normal(0, 1, 9), jnp.float32))
  keys = jax.random.split(jax.random.key(0), count)
  same = jnp.broadcast_to(log_probability, (count, 9))
  tokens = jax.jit(partial(sampling.draw, **options))(keys, same)

  logits = np.asarray(log_probability, np.float64) / options.get('temperature', 1.0)
  order = np.argsort(-logits)[: options.get('top_k', 9)]
  probability = special.softmax(logits[order])
  size = 1 + np.sum(np.cumsum(probability) < options.get('top_p', 1.0) - 1e-9)
  order, probability = order[:size], special.softmax(logits[order[:size]])
  order, probability = order[probability > 0], probability[probability > 0]
  seen = np.bincount(tokens, minlength=9)
  assert seen[order].sum() == count and seen[[PAD, BOS]].sum() == 0
  chi_square = np.sum((seen[order] - count * probability) ** 2 / (count * probability))
  assert chi_square < stats.chi2.ppf(0.999, len(order) - 1)


def test_a_key_is_that_of_its_sentence():
  tokens = jnp.array([[4, 5, 2, 0], [5, 4, 2, 0], [4, 5, 2, 0], [4, 5, 5, 2]])
  data = jax.random.key_data(sampling.keys_of(0, tokens))
  np.testing.assert_array_equal(data[0], data[2])
  assert len({tuple(key) for key in data.tolist()}) == 3
  padded = jnp.pad(tokens[1:], [(0, 0), (0, 5)])
  np.testing.assert_array_equal(jax.random.key_data(sampling.keys_of(0, padded)), data[1:])
  assert np.all(np.any(jax.random.key_data(sampling.keys_of(1, tokens)) != data, axis=-1))


def test_the_largest_is_the_first_of_equals():
  values = np.random.default_rng(0).integers(-3, 3, (50, 4, 7)).astype(np.float32)
  values[values == -3] = -np.inf
  values[0] = -np.inf
  np.testing.assert_array_equal(sampling.argmax(jnp.asarray(values)), values.argmax(-1))
