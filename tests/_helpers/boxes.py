"""Pictures with boxes, for tests: annotations, and a split of wide, tall and square pictures."""

import numpy as np
from _helpers.pictures import encoded, noise

from vitlab.data.annotated import AnnotatedPictures
from vitlab.data.annotations import Annotation

SIZES = ((6, 8), (6, 8), (8, 6), (6, 6), (3, 8), (8, 2), (12, 16))  # height, width


def annotation(boxes=(), classes=None, height=480, width=640, name='a.jpg', image_id=1, **flags):
  """Class i for box i unless they are given; no crowds, nothing difficult."""
  boxes = np.array(boxes, np.float64).reshape(-1, 4)
  count = len(boxes)
  known = dict(
    classes=np.arange(count) if classes is None else np.array(classes, np.int64),
    area=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1),
    crowd=np.zeros(count, bool),
    difficult=np.zeros(count, bool),
  )
  known |= {key: np.array(value) for key, value in flags.items()}
  return Annotation(name, image_id, height, width, boxes, **known)


class Files:
  """PNG files of noise by number; picklable."""

  def __init__(self, sizes, damaged=()):
    self._sizes, self._damaged = sizes, set(damaged)

  def __call__(self, number):
    picture = encoded(noise(*self._sizes[number], 3, seed=number))
    return picture[:60] if number in self._damaged else picture


def pictures(sizes=SIZES, image_size=(6, 8), damaged=(), in_memory=False):
  """A split in which picture i has a box of class i over its upper left quarter."""
  truth = [
    annotation([[0, 0, w / 2, h / 2]], [i], h, w, name=f'{i}.png', image_id=i)
    for i, (h, w) in enumerate(sizes)
  ]
  image = dict(image_size=image_size, channels=3)
  files = Files(sizes, damaged)
  return AnnotatedPictures(files, range(len(sizes)), truth, image, 4, in_memory)
