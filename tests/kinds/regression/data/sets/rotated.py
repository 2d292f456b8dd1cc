"""Grey pictures turned by known angles, made by number: nothing is stored but the upright ones.

Example i of a split is always the same picture, turned by the same angle, on every machine.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vitlab import registry
from vitlab.data import Dataset, Example, Source
from vitlab.data.identity import digest, digest_of
from vitlab.errors import UserError


class Rotated:
  """A split: each picture of another split, `copies` times, each time by another angle.

  Args:
    upright: Examples of `image` (uint8, h w 1) and `label`.
    copies: How often each picture comes.
    most: Degrees: angles are uniform between -most and most, counter-clockwise.
    side: Pixels of the result.
    seed: Of the angles.
  """

  def __init__(self, upright: Source, copies: int, most: float, side: int, seed: int):
    self._upright, self._copies, self._most = upright, copies, most
    self._side, self._seed = side, seed

  def __len__(self) -> int:
    return len(self._upright) * self._copies

  def __getitem__(self, index: int) -> Example:
    upright = self._upright[int(index) % len(self._upright)]
    # The legacy generator, whose stream NumPy promises never to change.
    angle = np.random.RandomState([self._seed, int(index)]).uniform(-self._most, self._most)
    turn = np.deg2rad(angle)
    return dict(
      image=rotated(upright['image'], angle, self._side),
      turn=np.array([np.sin(turn), np.cos(turn)], np.float32),
      label=upright['label'],
    )

  def describe(self, index: int) -> str:
    return f'picture {int(index) % len(self._upright)}, turn {int(index) // len(self._upright)}'

  def digest(self) -> str | None:
    found = digest_of(self._upright)
    return found and digest(f'{found} {self._copies} {self._most} {self._side} {self._seed}')


def rotated(
  image: UInt8[np.ndarray, 'h w 1'], angle: float, side: int
) -> UInt8[np.ndarray, 'n n 1']:
  """A picture of another size, turned counter-clockwise around its middle, black around it."""
  large = Image.fromarray(image[..., 0]).resize((side, side), Image.Resampling.BICUBIC)
  return np.asarray(large.rotate(angle, Image.Resampling.BILINEAR))[..., None]


def make(
  of: str = 'digits',
  most: float = 90.0,
  side: int = 16,
  copies: int = 64,
  seed: int = 0,
) -> Dataset:
  """Splits 'train' and 'test' of `image` (uint8, side side 1), `turn` (sin, cos) and `label`.

  Args:
    of: The data set of the upright pictures, grey, with classes.
    most: Degrees in either direction.
    side: Pixels.
    copies: How many angles each training picture has; a test picture has one.
    seed: Of the angles.

  Raises:
    UserError: numbers that cannot be.
  """
  if not 0 < most <= 180 or min(side, copies) < 1:
    raise UserError(
      f'data set rotated: most={most}, side={side}, copies={copies}\n'
      'most must be above 0 and not above 180, the others at least 1'
    )
  upright = registry.make('data.sets', dict(name=of))
  return Dataset(
    splits=dict(
      train=Rotated(upright.splits['train'], copies, most, side, 2 * seed),
      test=Rotated(upright.splits['test'], 1, most, side, 2 * seed + 1),
    ),
    facts=dict(
      class_names=upright.facts['class_names'],
      most=most,
      image=dict(image_size=(side, side), channels=1, resize='squash'),
    ),
  )
