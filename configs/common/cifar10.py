"""CIFAR-10: where it lies and how its pixels are normalised."""

from typing import Any

NORMALISATION = dict(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))


def data(path: str = '') -> dict[str, Any]:
  """Pictures of 32 by 32 pixels.

  Args:
    path: A folder or an archive of train/CLASS/*.png and test/CLASS/*.png; '' is what TensorFlow
      Datasets has prepared.
  """
  where = dict(name='folder', path=path) if path else dict(name='tfds', dataset='cifar10')
  return dict(where, image_size=32)
