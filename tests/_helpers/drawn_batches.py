"""Batches of examples that are drawn, without a mask: (generator, size) -> arrays."""

from typing import Any

import numpy as np

from vitlab.ops.tokens import EOS, PAD


def images(rng: np.random.Generator, size: int) -> dict[str, Any]:
  return dict(
    image=rng.integers(0, 256, (size, 6, 6, 1), dtype=np.uint8),
    label=rng.integers(0, 3, size, dtype=np.int32),
  )


def numbered_images(rng: np.random.Generator, size: int) -> dict[str, Any]:
  """As the batches of evaluators have them."""
  return images(rng, size) | dict(index=rng.permutation(size).astype(np.int32))


def sentences(rng: np.random.Generator, size: int) -> dict[str, Any]:
  """Of one to four tokens and their end, so that every position of some sentence is padding."""

  def batch():
    tokens = rng.integers(4, 9, (size, 5), dtype=np.int32)
    end = rng.integers(1, 5, (size, 1))
    return np.where(np.arange(5) < end, tokens, np.where(np.arange(5) == end, EOS, PAD))

  return dict(tokens=batch(), targets=batch())


def texts(rng: np.random.Generator, size: int) -> dict[str, Any]:
  """Each of two documents and a little padding, of tokens of which none is special."""
  first, second = rng.integers(2, 4, (size, 1)), rng.integers(5, 7, (size, 1))
  place = np.arange(8)
  segments = np.where(place < first, 1, np.where(place < second, 2, 0)).astype(np.int32)
  scored = rng.random((size, 7)) < 0.8
  return dict(
    tokens=rng.integers(0, 9, (size, 8), dtype=np.int32), segments=segments, scored=scored
  )


def passages(rng: np.random.Generator, size: int) -> dict[str, Any]:
  """A pair of passages each, of which some are followed by padding."""
  at, ends = np.arange(8), np.sort(rng.integers(2, 9, (2, size, 1)), axis=0)
  return dict(
    tokens=rng.integers(0, 9, (size, 8), dtype=np.int32),
    segments=((at < ends[1]) * (1 + (at >= ends[0]))).astype(np.int32),
    label=rng.integers(0, 2, size, dtype=np.int32),
    index=rng.permutation(size).astype(np.int32),
  )


def tagged(rng: np.random.Generator, size: int) -> dict[str, Any]:
  """A text each, of which some are followed by padding, with words of one or more tokens."""
  at, ends = np.arange(8), rng.integers(2, 9, (size, 1))
  return dict(
    tokens=rng.integers(0, 9, (size, 8), dtype=np.int32),
    segments=(at < ends).astype(np.int32),
    classes=rng.integers(-1, 3, (size, 8), dtype=np.int32),
  )


def windows(rng: np.random.Generator, size: int) -> dict[str, Any]:
  """Running text; some words of it have no context."""
  return dict(
    tokens=rng.integers(0, 9, (size, 40), dtype=np.int32),
    window=rng.integers(0, 3, (size, 40, 2), dtype=np.int32),
  )
