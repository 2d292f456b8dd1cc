"""A folder of pictures in plain colours: classes that a model learns in a few steps."""

import pathlib

import numpy as np
from _helpers.pictures import encoded

COLOURS = dict(red=(230, 20, 20), green=(20, 230, 20), blue=(20, 20, 230))


def write(folder: pathlib.Path, count: int = 8, **classes: str) -> str:
  """train/ and test/ of classes in a colour each, for example cat='red'; returns the folder."""
  for split in ('train', 'test'):
    for name, colour in classes.items():
      (folder / split / name).mkdir(parents=True)
      for i in range(count):
        picture = np.full((8, 8, 3), COLOURS[colour], np.uint8)
        picture[i // 8, i % 8] = 0
        (folder / split / name / f'{i}.png').write_bytes(encoded(picture))
  return str(folder)
