"""Objects of TensorFlow Datasets such as coco/2017 and voc/2007, once prepared, without TensorFlow.

See `vitlab.data.sets.tfds` for how to prepare a set. Its feature `objects` must have `bbox` and
`label`; `is_crowd`, `area` and `is_difficult` are read where they are. All records are looked
through once at the start: neither numbers of objects nor sizes of pictures stand anywhere else.

Classes have the numbers that TensorFlow Datasets gives them, which are not COCO's ids.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitlab.data import Dataset, box_sets
from vitlab.data import prepared as prepared_lib
from vitlab.data.annotations import Annotation
from vitlab.data.box_sets import Found, Part
from vitlab.data.opened import ImageError, measure
from vitlab.errors import UserError

_log = logging.getLogger(__name__)


def make(
  dataset: str,
  data_dir: str = '',
  image_size: int | Sequence[int] = (480, 640),
  channels: int = 3,
  download: bool = False,
  test_fraction: float = 0.1,
  split_seed: int = 0,
  in_memory: bool = False,
) -> Dataset:
  """The splits of a prepared set; never touches the network unless `download`.

  Args:
    dataset: 'voc', with a config 'coco/2017', with a version 'coco/2017:1.1.0'.
    data_dir: Where it was prepared; TFDS_DATA_DIR or ~/tensorflow_datasets if not given.
    image_size: (short, long), the sides of the shape that wide and tall pictures are padded to; or
      one number, the side of a square one for all.
    channels: 3 (RGB) or 1 (grey).
    download: Download and prepare what is missing (needs TensorFlow).
    test_fraction: Held out as 'test' where there is no other split.
    split_seed: Which ones are held out.
    in_memory: Decode a picture once and keep it.

  Raises:
    UserError: not prepared, or in a format without random access; no such features; as
      `box_sets.dataset`.
  """
  builder = prepared_lib.open_prepared(dataset, data_dir, download)
  how = dict(image_size=image_size, channels=channels, test_fraction=test_fraction)
  how |= dict(split_seed=split_seed, in_memory=in_memory)
  return box_sets.dataset(builder.info.full_name, read(builder), **how)


def read(builder: Any) -> Found:
  """What the records of a tfds builder say."""
  import tensorflow_datasets as tfds  # a second of imports that other data sets do not need

  name, features = builder.info.full_name, dict(builder.info.features)
  objects = getattr(features.get('objects'), 'feature', {})
  if not isinstance(features.get('image'), tfds.features.Image) or not {'bbox', 'label'} <= set(
    objects
  ):
    raise UserError(
      f'data set {name}: expected the features image and objects (bbox, label); it has '
      f'{", ".join(sorted(features))}\ntake a set for detection, such as coco/2017 or voc/2007'
    )
  odd: Counter[str] = Counter()
  decoders = {
    key: tfds.decode.SkipDecoding()
    for key, feature in features.items()
    if isinstance(feature, tfds.features.Image)
  }
  parts = {}
  for split, info in builder.info.splits.items():
    records = builder.as_data_source(split, decoders=decoders)
    _log.warning('%s: looking through %s records of %s', name, f'{info.num_examples:,}', split)
    part = _part(records, f'{name} {split}', odd)
    if info.num_examples and not any(len(truth.classes) for truth in part.annotations):
      odd[f'records of {split!r} without boxes, left out'] += info.num_examples
    else:  # competitions publish no boxes of their test sets
      parts[split] = part
  names = list(objects['label'].names)
  return Found(names, list(range(len(names))), parts, odd)


class _Pictures:
  """Number of a record -> the bytes of its picture."""

  def __init__(self, records: Any, name: str):
    self._records, self._name = records, name

  def __call__(self, number: int) -> bytes:
    return self.record(number)['image']

  def record(self, number: int) -> Mapping[str, Any]:
    try:
      return self._records[number]
    except RuntimeError as error:  # ArrayRecord: a checksum does not match, a shard is missing
      reason = str(error).partition('\n')[0]
      raise UserError(
        f'{self._name} record {number} is damaged: {reason}\nprepare it again'
      ) from None


def _part(records: Any, name: str, odd: Counter[str]) -> Part:
  pictures, files, annotations = _Pictures(records, name), [], []
  for number in range(len(records)):
    record = pictures.record(number)
    try:
      annotations.append(_annotation(record, f'{name} record {number}', number))
    except ImageError:
      odd['pictures that cannot be read, left out'] += 1
      continue
    files.append(number)
  return Part(pictures, files, annotations)


def _annotation(record: Mapping[str, Any], name: str, number: int) -> Annotation:
  # As the pixels are stored: TensorFlow does not turn them as EXIF says.
  height, width = measure(record['image'], turned=False)
  objects = record['objects']
  y1, x1, y2, x2 = np.asarray(objects['bbox'], np.float64).reshape(-1, 4).T
  boxes = np.stack([x1, y1, x2, y2], axis=1) * ([width, height] * 2)
  none = np.zeros(len(boxes), bool)
  difficult = np.asarray(objects.get('is_difficult', none), bool)
  if 'is_difficult' in objects:  # of VOC, whose boxes hold both of their corners
    boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1), :2] -= 1
  area = objects.get('area', np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
  return Annotation(
    name,
    int(record.get('image/id', number)),
    height,
    width,
    boxes,
    classes=np.asarray(objects['label'], np.int64),
    area=np.asarray(area, np.float64),
    crowd=np.asarray(objects.get('is_crowd', none), bool),
    difficult=difficult,
  )
