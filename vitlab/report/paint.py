"""Arrays as pictures inside a page: photographs, heat over them, signed tables, bytes."""

import base64
import io

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

SIDE = 256  # pixels, the longer side of an embedded image
TILE = 160  # of a small one among many
SMALL = 64  # pixels; an image up to this side is kept exactly and shown pixel by pixel
PACKED = 512  # bytes in a row of packed bytes
HEAT = matplotlib.colormaps['magma']
SIGNED = matplotlib.colormaps['RdBu_r']


def photograph(image: UInt8[np.ndarray, 'h w c'], side: int = SIDE) -> str:
  """A data URL; what is large is made smaller and kept as JPEG."""
  shown = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image[..., :3])
  kind = 'PNG' if max(shown.size) <= SMALL else 'JPEG'
  shown.thumbnail((side, side))
  return _url(shown, kind)


def heat(
  image: UInt8[np.ndarray, 'h w c'], values: Float[np.ndarray, 'rows columns'], side: int = TILE
) -> str:
  """Values over a grey image, from violet (none) to light yellow (the largest); a data URL."""
  h, w = image.shape[:2]
  size = tuple(max(round(n * side / max(h, w)), 1) for n in (w, h))
  grey = Image.fromarray(image[..., 0] if image.shape[-1] < 3 else image[..., :3]).convert('L')
  # Where pixels are seen as such, smooth heat would promise more than it knows.
  kind = Image.Resampling.NEAREST if max(h, w) <= SMALL else Image.Resampling.BILINEAR
  grey = grey.resize(size, kind)
  share = Image.fromarray(scaled(values)).resize(size, kind)
  share = np.asarray(share, np.float32)[..., None] / 255
  colour = HEAT(share[..., 0])[..., :3]
  over = 0.35 + 0.45 * share
  mixed = (1 - over) * np.asarray(grey, np.float32)[..., None] / 255 + over * colour
  return _url(Image.fromarray(np.round(255 * mixed).astype(np.uint8)), 'WEBP')


def signed(values: Float[np.ndarray, 'rows columns'], peak: float) -> str:
  """From blue (-peak) through white to red (+peak), a pixel for each value; a data URL."""
  share = np.clip(np.nan_to_num(values) / (2 * max(peak, 1e-12)) + 0.5, 0, 1)
  return _url(Image.fromarray(np.round(255 * SIGNED(share)[..., :3]).astype(np.uint8)), 'PNG')


def scaled(maps: Float[np.ndarray, '*n rows columns']) -> UInt8[np.ndarray, '*n rows columns']:
  """Each map from 0 to 255 = its own maximum; what is negative or not a number is 0."""
  maps = np.maximum(np.nan_to_num(maps), 0)
  peak = np.maximum(maps.max(axis=(-2, -1), keepdims=True), 1e-12)
  return np.round(maps / peak * 255).astype(np.uint8)


def pack(values: UInt8[np.ndarray, ' n']) -> str:
  """Bytes as a grey PNG, row by row and filled up with zeros: a browser inflates it by itself."""
  rows = np.pad(values, (0, -len(values) % PACKED)).reshape(-1, PACKED)
  return _url(Image.fromarray(rows), 'PNG')


def shrunk(values: Float[np.ndarray, 'h w'], side: int = 56) -> Float[np.ndarray, 'h2 w2']:
  """Means over blocks of pixels, so that no side is longer."""
  h, w = values.shape
  block = -(-max(h, w) // side)
  if block == 1:
    return values
  padded = np.pad(values, ((0, -h % block), (0, -w % block)), constant_values=np.nan)
  blocks = padded.reshape(padded.shape[0] // block, block, -1, block)
  return np.nanmean(blocks, axis=(1, 3))


def _url(shown: Image.Image, kind: str) -> str:
  stream = io.BytesIO()
  options = dict(quality=78) if kind == 'WEBP' else dict(optimize=kind == 'PNG')
  shown.save(stream, kind, **options)
  return f'data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}'
