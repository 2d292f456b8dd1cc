"""Small pictures: files in MNIST's format, or a folder or archive of any pictures."""

import pathlib
from typing import Any

SIZE = 28  # pixels, of MNIST and of all that was made in its image


def data(path: str) -> dict[str, Any]:
  """As grey as the files, or pictures in colour that are brought to 28 by 28 pixels.

  Args:
    path: A folder with files such as train-images-idx3-ubyte.gz; or a folder or an archive of
      train/CLASS/*.png and test/CLASS/*.png, or of CLASS/*.png alone.
  """
  place = pathlib.Path(path).expanduser()
  if place.is_file() or place.is_dir() and not any(place.glob('*ubyte*')):
    return dict(name='folder', path=path, image_size=SIZE, in_memory=True)
  return dict(name='idx', path=path)
