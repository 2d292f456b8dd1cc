"""Windows of a feature map: attention among neighbours (Swin, arXiv:2103.14030, section 3.2).

Masks, indices and coordinates depend on shapes alone: NumPy constants of the compiled program.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


def window_and_shift(size: tuple[int, int], window: int, shifted: bool) -> tuple[int, int]:
  """The side of the windows and their shift on a map of (height, width).

  A map that is no larger than a window is one window, as in the original: its shorter side, and no
  shift. The shift is else half a window.
  """
  if min(size) <= window:
    return min(size), 0
  return window, window // 2 if shifted else 0


def pad_to_multiple(x: Float[Array, 'b h w d'], y: int, w: int) -> Float[Array, 'b h2 w2 d']:
  """Zeros at the bottom and on the right, until the map is a whole number of y × w pieces."""
  return jnp.pad(x, ((0, 0), (0, -x.shape[1] % y), (0, -x.shape[2] % w), (0, 0)))


def cyclic_shift(x: Float[Array, 'b h w d'], shift: int) -> Float[Array, 'b h w d']:
  """Moves the map up and left (or back, where negative); what leaves comes in opposite."""
  return jnp.roll(x, (-shift, -shift), (1, 2)) if shift else x


def partition(x: Float[Array, 'b h w d'], window: int) -> Float[Array, 'b g t d']:
  """Cuts a map into g = (h / window) · (w / window) windows of t = window² tokens, row by row."""
  b, h, w, d = x.shape
  x = x.reshape(b, h // window, window, w // window, window, d)
  return jnp.einsum('brycxd->brcyxd', x).reshape(b, -1, window**2, d)


def reverse(windows: Float[Array, 'b g t d'], size: tuple[int, int]) -> Float[Array, 'b h w d']:
  """The map of (height, width) that `partition` cut."""
  b, _, t, d = windows.shape
  (h, w), window = size, round(t**0.5)
  x = windows.reshape(b, h // window, w // window, window, window, d)
  return jnp.einsum('brcyxd->brycxd', x).reshape(b, h, w, d)


def shift_mask(size: tuple[int, int], window: int, shift: int) -> Bool[np.ndarray, 'g t t']:
  """Who may look at whom in the windows of a shifted map: True = neighbours before the shift too.

  The shift brings the first `shift` rows next to the last ones, and columns likewise. A window that
  holds both attends within each part alone. Padding is no part of its own: its zeros are seen, as
  they are by the original.

  Args:
    size: Height and width of the map, padded to whole windows.
    window: Side of the windows.
    shift: Of the map.
  """
  rows, columns = (np.arange(n) >= n - shift for n in size)
  part = 2 * rows[:, None] + columns
  part = part.reshape(size[0] // window, window, size[1] // window, window)
  part = part.transpose(0, 2, 1, 3).reshape(-1, window**2)
  return part[:, :, None] == part[:, None, :]


def relative_position_index(window: int) -> Int[np.ndarray, 't t']:
  """Where in a flat table of (2 · window - 1)² entries the offset of a query from a key stands.

  With the query at (y, x) and the key at (v, u) it is the entry of row y - v + window - 1 and of
  column x - u + window - 1.
  """
  y, x = np.divmod(np.arange(window**2), window)
  rows, columns = (a[:, None] - a + window - 1 for a in (y, x))
  return rows * (2 * window - 1) + columns


def log_coordinates(window: int, pretrained: int = 0) -> Float[np.ndarray, 'rows columns 2']:
  """All offsets (y, x) within a window, log-spaced (Swin v2, arXiv:2111.09883, equation 4).

  sign(o) · log2(1 + |o|) / log2(8) of the offsets o, where ±8 is the largest of the window that the
  network was pretrained with; so a larger window extrapolates by little.

  Args:
    window: Side of the windows; there are 2 · window - 1 offsets along each axis.
    pretrained: Side of the windows in pretraining; 0: the same.
  """
  offsets = 8 * np.arange(1 - window, window) / max((pretrained or window) - 1, 1)
  offsets = np.sign(offsets) * np.log2(1 + np.abs(offsets)) / np.log2(8)
  return np.stack(np.meshgrid(offsets, offsets, indexing='ij'), axis=-1)


def resample_bias(
  table: Float[np.ndarray, 'rows columns n'], window: int
) -> Float[np.ndarray, 'rows2 columns2 n']:
  """A table of position biases for windows of another side, as the original resamples it.

  Bicubic convolution (Keys 1981) with a = -0.75 as in PyTorch, borders repeated.
  """
  side = 2 * window - 1
  y, x = (_cubic(n, side).astype(table.dtype) for n in table.shape[:2])
  return np.einsum('ab,bcn,dc->adn', y, table, x)


def _cubic(old: int, new: int, a: float = -0.75) -> Float[np.ndarray, 'new old']:
  """The matrix that resamples `old` numbers to `new`."""
  place = (np.arange(new) + 0.5) * old / new - 0.5
  below = np.floor(place).astype(int)
  matrix = np.zeros((new, old))
  for neighbour in (below - 1, below, below + 1, below + 2):
    d = np.abs(place - neighbour)
    near = ((a + 2) * d - (a + 3)) * d**2 + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    np.add.at(matrix, (np.arange(new), neighbour.clip(0, old - 1)), np.where(d <= 1, near, far))
  return matrix
