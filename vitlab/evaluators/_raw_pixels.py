"""What classifies pictures without training: their nearest neighbours, and the majority class.

A model that does not beat these has learnt nothing that they did not say.
"""

import time
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int, UInt8

from vitlab.data import Source
from vitlab.data.pictures import ImageError

MOST = 10_000  # examples of a split, as far apart as can be
NUMBERS = 1024  # of a picture: a larger one is brought down
K = 4
SECONDS = 5.0  # that reading may take; a run of which it takes longer has no baselines
TOGETHER = 500  # examples at a time


def baselines(train: Source, test: Source, seconds: float = SECONDS) -> Mapping[str, float]:
  """The accuracy of the k nearest neighbours on raw pixels, and of always saying one class.

  Args:
    train: The split that is learnt from.
    test: The split that is measured on.
    seconds: How long reading both may take.

  Returns:
    `nearest_neighbours` and `majority`; nothing where reading takes longer, or where the examples
    are no pictures with labels.
  """
  until = time.monotonic() + seconds
  known = _read(train, until)
  asked = known and _read(test, until)
  if not known or not asked:
    return {}
  (pixels, label), (test_pixels, truth) = known, asked
  said = nearest(pixels, label, test_pixels)
  majority = np.bincount(label).argmax()
  return dict(
    nearest_neighbours=float(np.mean(said == truth)), majority=float(np.mean(truth == majority))
  )


def nearest(
  known: Float[np.ndarray, 's d'], label: Int[np.ndarray, ' s'], asked: Float[np.ndarray, 't d']
) -> Int[np.ndarray, ' t']:
  """The class that most of the k nearest have, of equals the lower one."""
  k, classes = min(K, len(known)), int(label.max()) + 1
  length = np.einsum('sd,sd->s', known, known)
  said = []
  for first in range(0, len(asked), TOGETHER):
    distance = length - 2 * asked[first : first + TOGETHER] @ known.T  # up to their own length
    near = label[np.argpartition(distance, k - 1, axis=1)[:, :k]]
    votes = (near[:, :, None] == np.arange(classes)).sum(axis=1)
    said.append(votes.argmax(axis=1))
  return np.concatenate(said)


def downsized(image: UInt8[np.ndarray, 'b h w c']) -> Float[np.ndarray, 'b d']:
  """Pixels in [0, 1], means over squares so large that no more than `NUMBERS` are left."""
  b, h, w, c = image.shape
  side = 1
  while (h // side) * (w // side) * c > NUMBERS and side < min(h, w):
    side += 1
  h, w = h // side, w // side
  squares = image[:, : h * side, : w * side].reshape(b, h, side, w, side, c)
  return squares.mean(axis=(2, 4), dtype=np.float32).reshape(b, h * w * c) / 255


def _read(source: Source, until: float) -> tuple[np.ndarray, np.ndarray] | None:
  """Pixels and labels of examples of a split; None where that takes too long, or there are none."""
  if not {'image', 'label'} <= source[0].keys():
    return None
  count = min(len(source), MOST)
  numbers = np.arange(count) * len(source) // count
  pixels, labels = [], []
  for first in range(0, count, TOGETHER):
    image, label = _gather(source, numbers[first : first + TOGETHER], until)
    if time.monotonic() > until:
      return None
    pixels.append(downsized(image))
    labels.append(label)
  return np.concatenate(pixels), np.concatenate(labels)


def _gather(source: Source, numbers: np.ndarray, until: float) -> tuple[np.ndarray, np.ndarray]:
  if hasattr(source, 'arrays'):
    return source.arrays['image'][numbers], source.arrays['label'][numbers]
  examples = []
  for number in numbers:
    try:
      examples.append(source[int(number)])
    except ImageError:
      continue  # named when it was trained on
    if time.monotonic() > until:
      break
  return np.stack([x['image'] for x in examples]), np.stack([x['label'] for x in examples])
