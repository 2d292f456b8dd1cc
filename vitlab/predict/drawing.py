"""Boxes drawn into a picture: a colour for each class, its name and the score at the upper left."""

import colorsys
import functools
import pathlib
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont

SMALL = 480  # pixels of the longer side, below which a picture is enlarged: words are to be read
_FONT = pathlib.Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'
_GOLDEN = (5**0.5 - 1) / 2  # of a turn: colours of any number of classes lie apart


def draw(
  picture: Image.Image,
  boxes: Float[np.ndarray, 'n 4'],
  labels: Sequence[str],
  classes: Int[np.ndarray, ' n'],
) -> Image.Image:
  """A picture with boxes; words lie above lines, and the first of either on top.

  Args:
    picture: As it is; of a small one a whole multiple is drawn into.
    boxes: Left, top, right and bottom in its pixels.
    labels: What stands at each.
    classes: What the colours go by.
  """
  factor = max(1, -(-SMALL // max(picture.size)))
  size = picture.width * factor, picture.height * factor
  drawn = picture.convert('RGB').resize(size, Image.Resampling.NEAREST)
  pen = ImageDraw.Draw(drawn)
  objects = [*zip(boxes * factor, labels, map(colour, classes.tolist()))][::-1]
  for box, _, ink in objects:
    _frame(pen, box, ink, _width(size, box))
  for box, label, ink in objects:
    _label(pen, size, box, label, ink)
  return drawn


@functools.cache
def colour(number: int) -> tuple[int, int, int]:
  """Red, green and blue of a class, the hue turned on and the brightness lowered in threes."""
  bright = (1.0, 0.7, 0.45)[number % 3]
  red, green, blue = colorsys.hsv_to_rgb((0.95 + number * _GOLDEN) % 1, 0.85, bright)
  return round(255 * red), round(255 * green), round(255 * blue)


def _width(size: tuple[int, int], box: Float[np.ndarray, ' 4']) -> int:
  """Of a line: by the picture, but thinner around what is small."""
  side = min(box[2] - box[0], box[3] - box[1])
  return round(min(max(2, max(size) / 300), max(1, side / 12)))


def _frame(
  pen: ImageDraw.ImageDraw, box: Float[np.ndarray, ' 4'], colour: tuple[int, ...], width: int
) -> None:
  """The pixels of the box, [left, right) and [top, bottom), of which the outer are the line."""
  left, top = np.floor(box[:2]).astype(int).tolist()
  right, bottom = (np.ceil(box[2:]).astype(int) - 1).tolist()
  pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=width)


def _label(
  pen: ImageDraw.ImageDraw,
  size: tuple[int, int],
  box: Float[np.ndarray, ' 4'],
  text: str,
  colour: tuple[int, ...],
) -> None:
  """Above the box, or where there is no room inside of it; never outside of the picture."""
  height = round(min(max(12, max(size) / 60), 32))
  font = _font(height)
  margin = height // 4
  wide = round(pen.textlength(text, font)) + 2 * margin
  high = height + margin
  left = max(0, min(int(box[0]), size[0] - wide))
  top = int(box[1]) - high if box[1] >= high else int(box[1])
  pen.rectangle((left, top, left + wide - 1, top + high - 1), fill=colour)
  light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
  ink = 'black' if light > 140 else 'white'
  pen.text((left + margin, top + high / 2), text, fill=ink, font=font, anchor='lm')


@functools.cache
def _font(height: int) -> ImageFont.FreeTypeFont:
  return ImageFont.truetype(str(_FONT), height)
