"""ImageNet-1k: where it lies and how its pixels are normalised."""

from typing import Any

from ml_collections import ConfigDict

from configs.common import smoke as smokes

NORMALISATION = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def data(path: str = '', image_size: int = 224, crop_fraction: float = 0.875) -> dict[str, Any]:
  """Central squares of the photographs.

  Args:
    path: A folder of train/CLASS/*.JPEG and validation/CLASS/*.JPEG; '' is what TensorFlow Datasets
      has prepared.
    image_size: Height and width in pixels.
    crop_fraction: The side of the square as a fraction of the shorter side.
  """
  where = dict(name='folder', path=path) if path else dict(name='tfds', dataset='imagenet2012')
  return dict(where, image_size=image_size, resize='crop', crop_fraction=crop_fraction)


def evaluate(config: ConfigDict, every: str) -> None:
  """Evaluates the validation split, and saves, as often as `every` says."""
  config.evaluators.validation = dict(name='classification', split='validation', every=every)
  config.checkpoint.every = every


def smoke(config: ConfigDict, duration: str = '8 epochs') -> None:
  """Learns the ten bundled digits in seconds; the size of the model is left to the config."""
  smokes.digits(config, duration)
  config.model.update(num_classes=10, dtype='float32')
  config.task.num_classes = 10
  config.evaluators.validation.split = 'test'
  config.checkpoint.every = '50%'
