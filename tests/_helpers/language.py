"""A random language of six tokens, small enough to look at all of its sentences."""

import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax

from vitlab.ops.tokens import BOS, EOS, PAD

VOCAB, LONGEST = 6, 7
TABLE = np.random.default_rng(3).normal(size=(4, LONGEST, VOCAB, VOCAB)).astype(np.float32)


def step(state, token):
  """What follows depends on the sentence, the position and the last token."""
  row, position = state
  return jnp.asarray(TABLE)[row, position, token], (row, position + 1)


def take(state, rows):
  row, position = state
  return row[rows], position[rows]


def start(rows=(0, 1, 2, 3)):
  return jnp.array(rows), jnp.zeros(len(rows), jnp.int32)


def next_token(row, said):
  """Log-probabilities of what follows these tokens; padding and the beginning do not."""
  logits = log_softmax(TABLE[row, len(said), said[-1] if said else BOS].astype(np.float64))
  logits[[PAD, BOS]] = -np.inf
  return logits


def everything(row, limit):
  """All sentences that can be said, and their log-probabilities."""
  found = []

  def grow(said, total):
    if len(said) == limit or EOS in said:
      found.append((said, total))
      return
    logits = next_token(row, said)
    for token in np.flatnonzero(np.isfinite(logits)).tolist():
      grow([*said, token], total + logits[token])

  grow([], 0.0)
  return found


def padded(said, length=LONGEST):
  return said + [PAD] * (length - len(said))
