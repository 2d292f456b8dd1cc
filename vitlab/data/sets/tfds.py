"""Any classification set of TensorFlow Datasets, once it is prepared, without TensorFlow.

Random access needs the ArrayRecord format. Preparing most catalogue sets needs TensorFlow and the
network, once, anywhere:

    import tensorflow_datasets as tfds
    tfds.builder('cifar10', file_format='array_record').download_and_prepare()

The folder it writes (`~/tensorflow_datasets`, or TFDS_DATA_DIR) is then all that is needed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitlab.data import Dataset, Example
from vitlab.data import prepared as prepared_lib
from vitlab.data.identity import digest
from vitlab.data.pictures import image_facts, preprocess
from vitlab.data.pipeline import Loaded
from vitlab.errors import UserError


def make(
  dataset: str,
  data_dir: str = '',
  image_size: int | Sequence[int] = 224,
  channels: int = 3,
  resize: str = 'crop',
  crop_fraction: float = 1.0,
  interpolation: str = 'bicubic',
  library: str = 'vitlab',
  fill: Sequence[int] = (0,),
  image_key: str = 'image',
  label_key: str = 'label',
  download: bool = False,
  in_memory: bool = False,
) -> Dataset:
  """The splits of a prepared set; never touches the network unless `download`.

  Args:
    dataset: 'cifar10', with a config 'name/config', with a version 'name:1.0.0'.
    data_dir: Where it was prepared; TFDS_DATA_DIR or ~/tensorflow_datasets if not given.
    image_size: (height, width) that pictures are brought to, or one number for both.
    channels: 3 (RGB) or 1 (grey).
    resize: 'squash', 'crop' or 'pad', see `vitlab.data.pictures.preprocess`.
    crop_fraction: Of the picture, with 'crop' and 'squash'.
    interpolation: 'bicubic', 'bilinear', ...
    library: 'timm' or 'huggingface' where pixels are to be theirs to the last bit; from the weights
      in config.init_from, else 'vitlab'.
    fill: The colour around a padded picture, 0 to 255.
    image_key: Name of the picture feature.
    label_key: Name of the label feature.
    download: Download and prepare what is missing (needs TensorFlow).
    in_memory: Decode a split once and keep it: for small pictures.

  Raises:
    UserError: not prepared, or in a format without random access; no such feature.
  """
  image = dict(image_size=image_size, channels=channels, resize=resize)
  image |= dict(crop_fraction=crop_fraction, interpolation=interpolation)
  image = image_facts(**image, library=library, fill=fill)
  builder = prepared_lib.open_prepared(dataset, data_dir, download)
  prepared = from_builder(builder, image, image_key, label_key)
  if not in_memory:
    return prepared
  return prepared._replace(splits={name: Loaded(split) for name, split in prepared.splits.items()})


def from_builder(builder: Any, image: Mapping[str, Any], image_key: str, label_key: str) -> Dataset:
  """The data set of a tfds builder; `image` are the arguments of `preprocess`."""
  import tensorflow_datasets as tfds

  name, features = builder.info.full_name, builder.info.features
  for key, kind in ((image_key, tfds.features.Image), (label_key, tfds.features.ClassLabel)):
    if key not in features or not isinstance(features[key], kind):
      raise UserError(
        f'data set {name}: {key!r} is no {kind.__name__}; its features are '
        f'{", ".join(f"{k} ({type(features[k]).__name__})" for k in sorted(features))}\n'
        'set image_key and label_key'
      )
  decoders = {  # Pillow decodes, as it does for prediction
    key: tfds.decode.SkipDecoding()
    for key, feature in features.items()
    if isinstance(feature, tfds.features.Image)
  }
  label = features[label_key]
  return Dataset(
    splits={
      split: Records(
        builder.as_data_source(split, decoders=decoders),
        f'{name} {split}',
        (image_key, label_key),
        label.num_classes,
        image,
        digest(f'{name} {split} {info.num_bytes} {list(info.shard_lengths)}'),
      )
      for split, info in builder.info.splits.items()
    },
    facts=dict(num_classes=label.num_classes, class_names=list(label.names), image=dict(image)),
  )


class Records:
  """A split of a prepared set: encoded pictures, decoded when they are asked for.

  Raises:
    UserError: (when reading) a label that is none, as in unlabelled test sets; damaged files.
  """

  def __init__(
    self,
    records: Any,
    name: str,
    keys: tuple[str, str],
    num_classes: int,
    image: Mapping[str, Any],
    prepared: str,
  ):
    self._records, self._name, self._keys = records, name, keys
    self._num_classes, self._image, self._prepared = num_classes, dict(image), prepared

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> Example:
    try:
      record = self._records[index]
    except RuntimeError as error:  # ArrayRecord: a checksum does not match, a shard is missing
      reason = str(error).partition('\n')[0]
      raise UserError(f'{self.describe(index)} is damaged: {reason}\nprepare it again') from None
    picture, label = (record[key] for key in self._keys)
    if not 0 <= label < self._num_classes:
      raise UserError(
        f'{self.describe(index)} has the label {label}, possible are 0 to {self._num_classes - 1}\n'
        'splits of competitions have no public labels: take another split'
      )
    image = preprocess(picture, name=self.describe(index), **self._image)
    return dict(image=image, label=np.int32(label))

  def describe(self, index: int) -> str:
    return f'{self._name} record {index}'

  def digest(self) -> str:
    """Of the version, and of what its preparation noted: records have no names."""
    return self._prepared
