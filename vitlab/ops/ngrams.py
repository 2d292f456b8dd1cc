"""What counting alone knows of a text: the losses that a language model has to beat.

Unigram: how often each token is, with one added to every count (Laplace). Bigram: how often it
follows the token before it, as Witten and Bell (1991) mix it with the unigram, which is what is
left where that token was never seen: p(b | a) = (c(ab) + d(a) p(b)) / (c(a) + d(a)), d(a) being how
many different tokens follow a. Neither has a number to choose, for characters or for words.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer


class Counts(NamedTuple):
  """Of a text.

  Attributes:
    tokens: How often each token of the vocabulary is.
    pairs: The pairs of neighbours a b that there are, as a · vocab + b, sorted.
    pair_counts: How often each is.
    before: How often each token has one behind it.
    different: How many different ones it has.
  """

  tokens: Int[np.ndarray, ' vocab']
  pairs: Int[np.ndarray, ' pairs']
  pair_counts: Int[np.ndarray, ' pairs']
  before: Int[np.ndarray, ' vocab']
  different: Int[np.ndarray, ' vocab']


def count(text: Integer[np.ndarray, ' t'], vocab_size: int) -> Counts:
  """Counts the tokens of a text and the pairs of neighbours."""
  text = np.asarray(text, np.int64)
  pairs, pair_counts = np.unique(text[:-1] * vocab_size + text[1:], return_counts=True)
  return Counts(
    np.bincount(text, minlength=vocab_size),
    pairs,
    pair_counts,
    np.bincount(text[:-1], minlength=vocab_size),
    np.bincount(pairs // vocab_size, minlength=vocab_size),
  )


def unigram(counts: Counts, tokens: Integer[np.ndarray, ' t']) -> Float[np.ndarray, ' t']:
  """The negative log-probability of each token, in nats."""
  many = counts.tokens + 1
  return -np.log(many[tokens] / many.sum())


def bigram(
  counts: Counts, before: Integer[np.ndarray, ' t'], tokens: Integer[np.ndarray, ' t']
) -> Float[np.ndarray, ' t']:
  """The negative log-probability of each token behind the one before it, in nats."""
  pair = np.asarray(before, np.int64) * len(counts.tokens) + tokens
  seen, alone = np.zeros(len(pair)), np.exp(-unigram(counts, tokens))
  if len(counts.pairs):
    place = np.minimum(np.searchsorted(counts.pairs, pair), len(counts.pairs) - 1)
    seen = np.where(counts.pairs[place] == pair, counts.pair_counts[place], 0)
  different = counts.different[before]
  total = counts.before[before] + different
  return -np.log(np.where(total, (seen + different * alone) / np.maximum(total, 1), alone))
