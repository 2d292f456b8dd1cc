"""Bright and dark rectangles on grey."""

import numpy as np

from vitlab.data import Dataset
from vitlab.data.sources import Arrays


def make(side=12, train=256, test=64):
  generator = np.random.default_rng(0)

  def pictures(count):
    first = generator.integers(0, side // 2, (count, 2))
    last = first + generator.integers(side // 4, side // 2, (count, 2)) + 1
    classes = generator.integers(0, 2, (count, 1), dtype=np.int32)
    place = np.arange(side)
    inside = [(place >= first[:, i : i + 1]) & (place < last[:, i : i + 1]) for i in (0, 1)]
    found = inside[1][:, :, None] & inside[0][:, None, :]
    image = np.where(found, np.where(classes, 255, 0)[..., None], 128).astype(np.uint8)[..., None]
    boxes = np.concatenate([first, last], axis=1)[:, None].astype(np.float32) / side
    return Arrays(dict(image=image, boxes=boxes, classes=classes))

  image = dict(image_size=(side, side), channels=1, resize='squash')
  facts = dict(num_classes=2, class_names=['dark', 'bright'], image=image)
  return Dataset(dict(train=pictures(train), test=pictures(test)), facts)
