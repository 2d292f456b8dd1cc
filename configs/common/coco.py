"""COCO 2017: where its pictures and boxes lie, and when they are looked for."""

from typing import Any

from ml_collections import ConfigDict


def data(path: str = '') -> dict[str, Any]:
  """Which files; the size of the pictures is left to the config.

  Args:
    path: A folder or an archive of annotations and pictures, in archives or not; '' is what
      TensorFlow Datasets has prepared.
  """
  return dict(name='coco', path=path) if path else dict(name='tfds_detection', dataset='coco/2017')


def evaluate(config: ConfigDict, path: str, every: str) -> None:
  """Looks for the objects of the validation split, and saves, as often as `every` says."""
  split = 'val' if path else 'validation'
  config.evaluators.val = dict(name='average_precision', split=split, num_classes=None, every=every)
  config.checkpoint.update(every=every, best='val/ap')
