"""Which pixels a score depends on, asked of the model from outside: gradients and occlusion.

Both know nothing about attention: they are the cross-check of its maps, and work for any model.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

Score = Callable[[Float[Array, 'b h w c']], Float[Array, ' b']]


def neutral(image: Float[Array, 'h w c']) -> Float[Array, ' c']:
  """The mean colour of an image: what stands for 'nothing there'."""
  return image.mean(axis=(0, 1))


def input_times_gradient(
  score: Score,
  image: Float[Array, 'h w c'],
  key: Shaped[Array, ''],
  *,
  samples: int = 8,
  noise: float = 0.1,
) -> Float[Array, 'h w']:
  """(image - its mean colour) · d score / d image, the gradient averaged over noisy copies.

  To first order, what each pixel adds to the score against the mean colour (arXiv:1704.02685,
  section 2); positive speaks for it. A single gradient flickers from pixel to pixel; its mean over
  a neighbourhood does not (SmoothGrad, arXiv:1706.03825).

  Args:
    score: Of each image of a batch on its own.
    image: Pixels, of any range.
    key: Of the noise.
    samples: Noisy copies.
    noise: Standard deviation of the noise, as a fraction of the range of the image's values.
  """
  spread = noise * (image.max() - image.min())
  copies = image + spread * jax.random.normal(key, (samples, *image.shape), image.dtype)
  gradient = jax.grad(lambda copies: score(copies).sum())(copies).mean(axis=0)
  return ((image - neutral(image)) * gradient).sum(axis=-1)


def occlusion(
  score: Score, image: Float[Array, 'h w c'], *, steps: int = 8, batch_size: int = 16
) -> Float[Array, 'rows columns']:
  """How much the score falls when a patch is covered (Zeiler and Fergus, arXiv:1311.2901, 4.2).

  The patch has the mean colour of the image and is centred on each cell of a grid; it reaches one
  cell's size to every side of the centre, so that patches overlap.

  Args:
    score: See `input_times_gradient`.
    image: Pixels, of any range.
    steps: Cells along the longer side; never more than pixels.
    batch_size: How many covered images are looked at together.

  Returns:
    score(image) - score(covered image), for each cell.
  """
  h, w, _ = image.shape
  size = max(max(h, w) / steps, 1.0)
  rows, columns = (max(round(n / size), 1) for n in (h, w))

  def cover(cell: Shaped[Array, '']) -> Float[Array, 'h w c']:
    row, column = jnp.divmod(cell, columns)
    y = jnp.abs(jnp.arange(h) + 0.5 - (row + 0.5) * h / rows) <= h / rows
    x = jnp.abs(jnp.arange(w) + 0.5 - (column + 0.5) * w / columns) <= w / columns
    return jnp.where((y[:, None] & x)[..., None], neutral(image), image)

  def batch(cells):
    return score(jax.vmap(cover)(cells))

  count = rows * columns
  batches = -(-count // batch_size)
  cells = jnp.minimum(jnp.arange(batches * batch_size), count - 1).reshape(batches, batch_size)
  covered = jax.lax.map(batch, cells).reshape(-1)[:count]
  return (score(image[None])[0] - covered).reshape(rows, columns)
