"""Augmentation of pictures with boxes on the device, inside the training step.

A pipeline is a string such as `'mosaic|scale_jitter(zoom=(0.5, 1.5))|flip|hsv_jitter'`, read as
those of `vitlab.ops.augment`. The canvas stays as it is; the boxes move with the pixels. A box is
lost if its centre leaves the picture or less than a pixel of a side is left; others are cut at the
border.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from vitlab.ops import color, geometry, mix, pipelines, policies
from vitlab.ops.boxes import Objects, area, clip

Key = Shaped[Array, '']
Pair = Float[Array, 'b 2']

GREY = 114 / 255  # what a mosaic leaves bare, in all of YOLO's descendants


class Sample(NamedTuple):
  """Pictures and what there is to be found in them.

  Attributes:
    image: In [0, 1].
    size: Height and width of the part, in the upper left corner, that is no padding.
    boxes: Left, top, right and bottom of each object in pixels; zero where there is no object.
    classes: -1 where there is no object.
  """

  image: Float[Array, 'b h w c']
  size: Int[Array, 'b 2']
  boxes: Float[Array, 'b o 4']
  classes: Int[Array, 'b o']


def compile(pipeline: str) -> Callable[[Key, Sample], Sample]:
  """Reads a pipeline; the empty string changes nothing.

  Raises:
    UserError: the string cannot be read, or an operation, a keyword or a value does not exist;
      names those that do.
  """
  stages = pipelines.read(pipeline, OPERATIONS)

  def augment(key: Key, sample: Sample) -> Sample:
    for position, stage in enumerate(stages):
      sample = stage(jax.random.fold_in(key, position), sample)
    return sample

  return augment


def flip(key: Key, sample: Sample, probability: float = 0.5) -> Sample:
  """Mirrors left and right, within the picture: its padding stays at the right."""
  w = sample.image.shape[2]
  width = sample.size[:, 1, None]
  source = jnp.where(jnp.arange(w) < width, width - 1 - jnp.arange(w), jnp.arange(w))
  mirrored = jnp.take_along_axis(sample.image, source[:, None, :, None], axis=2)
  left, top, right, bottom = jnp.moveaxis(sample.boxes, -1, 0)
  turned = jnp.stack([width - right, top, width - left, bottom], axis=-1)
  turned = jnp.where(sample.classes[..., None] >= 0, turned, 0.0)
  return _chosen(key, probability, sample._replace(image=mirrored, boxes=turned), sample)


def scale_jitter(key: Key, sample: Sample, zoom: tuple[float, float] = (0.1, 2.0)) -> Sample:
  """Changes the size of the picture by a factor uniform in `zoom`; of a larger one, a random part.

  Ghiasi et al. 2020 (arXiv:2012.07177), section 3: 'large scale jittering' is 0.1 to 2, the
  standard one 0.8 to 1.25. A smaller picture leaves more padding.
  """
  zoom_key, corner_key = jax.random.split(key)
  factor = jax.random.uniform(zoom_key, sample.size[:, :1].shape, minval=zoom[0], maxval=zoom[1])
  whole = jnp.maximum(jnp.round(factor * sample.size), 1.0)
  size = jnp.minimum(whole, _canvas(sample))
  corner = _corner(corner_key, whole - size)
  start, stop = jnp.zeros_like(whole), 1.0 * sample.size
  return _window(sample, start, stop, whole / sample.size, -corner, size)


def crop(
  key: Key,
  sample: Sample,
  scale: tuple[float, float] = (0.3, 1.0),
  ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Sample:
  """Enlarges a random window until it reaches a border of the canvas, without distorting it.

  The window has a share of the picture's area uniform in `scale` and a width over height that is
  log-uniform in `ratio` times the picture's own; it is cut off at the picture's size.
  """
  area_key, ratio_key, corner_key = jax.random.split(key, 3)
  b = sample.size.shape[0]
  area = jax.random.uniform(area_key, (b,), minval=scale[0], maxval=scale[1])
  low, high = jnp.log(jnp.asarray(ratio))
  aspect = jnp.exp(jax.random.uniform(ratio_key, (b,), minval=low, maxval=high))
  share = jnp.sqrt(jnp.stack([area / aspect, area * aspect], axis=-1))
  side = jnp.clip(jnp.round(share * sample.size), 1.0, sample.size)
  corner = _corner(corner_key, sample.size - side)
  factor = jnp.min(_canvas(sample) / side, axis=-1, keepdims=True)
  size = jnp.clip(jnp.round(factor * side), 1.0, _canvas(sample))
  zoom = size / side
  return _window(sample, corner, corner + side, zoom, -zoom * corner, size)


def mosaic(
  key: Key,
  sample: Sample,
  zoom: tuple[float, float] = (0.5, 1.5),
  probability: float = 1.0,
  fill: float = GREY,
) -> Sample:
  """Four pictures around a random point, all larger by a factor uniform in `zoom`.

  Bochkovskiy et al. 2020 (arXiv:2004.10934), section 3.3; drawn as in YOLOX (arXiv:2107.08430):
  the four meet in the inner half of a plane of twice the canvas, of which a random part is seen.
  The other three are the next ones in a group of four of the batch. The canvas is then full, and
  bare places are `fill`. Of more objects than there are rows, the smallest are dropped.
  """
  choice_key, zoom_key, meeting_key, corner_key = jax.random.split(key, 4)
  b, canvas = sample.size.shape[0], _canvas(sample)
  factor = jax.random.uniform(zoom_key, (b, 1), minval=zoom[0], maxval=zoom[1])
  factor = jnp.tile(factor, 2)
  meeting = factor * canvas * jax.random.uniform(meeting_key, (b, 2), minval=0.5, maxval=1.5)
  corner = (2.0 * factor - 1.0) * canvas * jax.random.uniform(corner_key, (b, 2))
  meeting = jnp.round(meeting - corner)
  size = jnp.broadcast_to(canvas, (b, 2))

  image, covered, parts = 0.0, 0.0, []
  for step, (above, left) in enumerate(((1, 1), (1, 0), (0, 1), (0, 0))):
    other = _neighbours(sample, step, 4)
    stop, ends = 1.0 * other.size, jnp.array([above, left])
    shift = meeting - ends * factor * stop
    placed, where = geometry.place(other.image, jnp.zeros_like(stop), stop, factor, shift)
    image, covered = image + placed, covered + where
    parts.append(_moved(other, factor, shift, size))
  image = image + fill * (1.0 - covered)
  result = Sample(image, size.astype(jnp.int32), *_together(parts))
  return _chosen(choice_key, probability, result, sample)


def mixup(
  key: Key,
  sample: Sample,
  zoom: tuple[float, float] = (0.5, 1.5),
  probability: float = 1.0,
  fill: float = GREY,
) -> Sample:
  """The mean of a picture and another, with the objects of both.

  As in YOLOX (arXiv:2107.08430), the other one, its neighbour in the batch, is mirrored half of the
  time and its size changed by a factor uniform in `zoom`. Where only one of them lies, it is seen
  as it is; a place of the canvas's used part that neither covers is `fill`. Of more objects than
  there are rows, the smallest are dropped.
  """
  choice_key, flip_key, zoom_key = jax.random.split(key, 3)
  other = scale_jitter(zoom_key, flip(flip_key, _neighbours(sample, 1, 2)), zoom)
  size = jnp.maximum(sample.size, other.size)
  one, two = _valid(sample), _valid(other)
  mean = (sample.image + other.image) / 2
  image = jnp.select([one & two, one, two], [mean, sample.image, other.image], fill)
  result = Sample(image, size, *_together([Objects(*x[2:]) for x in (sample, other)]))
  result = result._replace(image=jnp.where(_valid(result), image, 0.0))
  return _chosen(choice_key, probability, result, sample)


def color_jitter(
  key: Key,
  sample: Sample,
  brightness: float = 0.4,
  contrast: float = 0.4,
  saturation: float = 0.4,
) -> Sample:
  """Enhances brightness, contrast and saturation, in this order, by factors 1 +- the given."""
  valid = _valid(sample)
  image = policies.enhance(key, sample.image, brightness, contrast, saturation, valid)
  return sample._replace(image=jnp.where(valid, image, sample.image))


def hsv_jitter(
  key: Key,
  sample: Sample,
  hue: float = 5 / 180,
  saturation: float = 30 / 255,
  value: float = 30 / 255,
) -> Sample:
  """Adds to hue, saturation and value up to +- the given, to each half of the time, as YOLOX does.

  The hue is a share of the circle of colours, the others are in [0, 1].
  """
  often_key, amount_key = jax.random.split(key)
  shape = (3, sample.image.shape[0])
  amount = jax.random.uniform(amount_key, shape, minval=-1.0, maxval=1.0)
  amount *= jnp.array([hue, saturation, value])[:, None]
  amount *= jax.random.bernoulli(often_key, 0.5, shape)
  image = color.shift_hsv(sample.image, *amount)
  return sample._replace(image=jnp.where(_valid(sample), image, sample.image))


OPERATIONS: dict[str, Callable[..., Sample]] = {
  function.__name__: function
  for function in (flip, scale_jitter, crop, mosaic, mixup, color_jitter, hsv_jitter)
}


def _canvas(sample: Sample) -> Float[Array, '2']:
  return jnp.asarray(sample.image.shape[1:3], jnp.float32)


def _valid(sample: Sample) -> Bool[Array, 'b h w 1']:
  """Which pixels are no padding."""
  h, w = sample.image.shape[1:3]
  height, width = sample.size[:, 0, None, None], sample.size[:, 1, None, None]
  return ((jnp.arange(h)[:, None] < height) & (jnp.arange(w) < width))[..., None]


def _corner(key: Key, room: Pair) -> Pair:
  """A whole number of pixels from 0 to `room`, all alike."""
  return jnp.minimum(jnp.floor(jax.random.uniform(key, room.shape) * (room + 1.0)), room)


def _chosen(key: Key, probability: float, new: Sample, old: Sample) -> Sample:
  """The new sample with the given probability, for each row of the batch."""
  chosen = jax.random.bernoulli(key, probability, old.size.shape[:1])

  def select(new, old):
    return jnp.where(chosen.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

  return jax.tree.map(select, new, old)


def _neighbours(sample: Sample, step: int, group: int) -> Sample:
  return jax.tree.map(lambda x: mix.partners(x, step, group), sample)


def _window(sample: Sample, start: Pair, stop: Pair, zoom: Pair, shift: Pair, size: Pair) -> Sample:
  """The part from `start` to `stop`, enlarged and shifted to the upper left corner."""
  image, _ = geometry.place(sample.image, start, stop, zoom, shift)
  boxes, classes = _moved(sample, zoom, shift, size)
  return Sample(image, size.astype(jnp.int32), boxes, classes)


def _moved(sample: Sample, zoom: Pair, shift: Pair, size: Pair) -> Objects:
  """The objects at `zoom p + shift`, cut at `size`, without those whose centre lies outside."""
  zoom, shift = (jnp.tile(x[:, None, ::-1], 2) for x in (zoom, shift))
  whole = zoom * sample.boxes + shift
  boxes = clip(whole, size.astype(jnp.int32))
  centre = (whole[..., :2] + whole[..., 2:]) / 2
  inside = (centre > 0) & (centre < size[:, None, ::-1])
  kept = jnp.all(inside & (boxes[..., 2:] - boxes[..., :2] >= 1.0), axis=-1)
  return Objects(jnp.where(kept[..., None], boxes, 0.0), jnp.where(kept, sample.classes, -1))


def _together(parts: list[Objects]) -> Objects:
  """The objects of several pictures in as many rows as one has, the largest first."""
  boxes, classes = (jnp.concatenate(part, axis=1) for part in zip(*parts))
  order = jnp.argsort(jnp.where(classes >= 0, -area(boxes), 1.0), axis=1)
  order = order[:, : parts[0].classes.shape[1]]
  return Objects(
    jnp.take_along_axis(boxes, order[..., None], axis=1),
    jnp.take_along_axis(classes, order, axis=1),
  )
