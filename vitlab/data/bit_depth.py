"""Grey pictures of more than 8 bits, which carry their range in many ways or in none.

16-bit values are scaled from the range that the file declares (TIFF: BitsPerSample and
MaxSampleValue, PNG: sBIT, PGM: its maximum), else from 0 to 65535, with a warning where that makes
a picture dark. 32-bit integers need a declared range, and floating point has none: refused.
"""

import numpy as np
from absl import logging
from PIL import Image


def to_eight_bits(image: Image.Image, name: str) -> Image.Image:
  """Scales 16-bit grey, and 32-bit of a declared range, to 8 bits; leaves other pictures alone.

  Args:
    image: As it was opened: another picture made of it knows nothing of the file any more.
    name: The picture in a warning.
  """
  if not image.mode.startswith('I'):
    if 'sBIT' in image.info or getattr(image, 'tag_v2', {}).get(258, (8,))[0] == 16:
      # Pillow has kept the upper halves of colours.
      _warn_if_dark(256 * max(band.getextrema()[1] for band in image.split()[:3]), name)
    return image
  values = np.asarray(image).astype(np.int64)
  top = _declared_top(image, values)
  if top is None and image.mode == 'I':
    return image
  if top is None:
    top = 2**16 - 1
    _warn_if_dark(int(values.max()), name)
  return Image.fromarray((values.clip(0, top) * 255 // top).astype(np.uint8))


def _warn_if_dark(largest: int, name: str) -> None:
  if 0 < largest < 2**14:
    _warn_once(
      'dark',
      f'{name}: the largest of its 16-bit values is about {largest} of 65535, so it becomes '
      f'{"nearly black" if largest < 2**12 else "dark"}: if its camera or scanner counts to less, '
      'scale the values of such pictures to 0 to 65535',
    )


def _declared_top(image: Image.Image, values: np.ndarray) -> int | None:
  """The value of white, if the file says it."""
  tags = getattr(image, 'tag_v2', {})
  bits = tags.get(258, (16,))[0]  # BitsPerSample
  # MaxSampleValue is the range only by custom: others write the largest value that there is.
  declared = tags.get(281, (0,))[0]
  if declared and not declared & (declared + 1):
    return int(declared)
  if image.format == 'PPM':
    return 2**16 - 1  # Pillow has scaled it by the maximum in its header
  if bits < 16:
    return 2**bits - 1
  # A PNG of n significant bits is to be scaled to 16 all the same. Where it is not, all values are
  # small, and the bits that scaling would have left empty are in use.
  bits = image.info.get('sBIT', 16)
  if values.max() < 2**bits < 2**16 and (values % 2 ** (16 - bits)).any():
    return 2**bits - 1
  return None


def significant_bits(png: bytes) -> int:
  """What the sBIT chunk of a grey PNG says; 16 if there is none."""
  at = 8
  while (kind := png[at + 4 : at + 8]) and kind != b'IDAT':
    if kind == b'sBIT':
      return png[at + 8]
    at += 12 + int.from_bytes(png[at : at + 4], 'big')
  return 16


def warn_of_cut_values(image: Image.Image, name: str, library: str) -> None:
  """Says once that values of more than 8 bits are cut off, where this makes a difference."""
  if image.mode == 'F' or image.mode.startswith('I') and np.asarray(image).max() > 255:
    _warn_once(
      library,
      f'{name}: its pixels of Pillow mode {image.mode}, the largest {np.asarray(image).max()}, are '
      f'cut off at 255 and not scaled, as {library} does: convert such pictures to 8 bits',
    )


_said: set[str] = set()


def _warn_once(what: str, text: str) -> None:
  """One line on standard error, for each kind of thing and process."""
  if what not in _said:
    _said.add(what)
    logging.warning(text)
