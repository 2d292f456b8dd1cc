"""From pictures and words to tokens, and where the tokens are."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError, unknown
from vitlab.layers.dense import contract, fan_init
from vitlab.layers.sharding import apply_split, constrain_batch
from vitlab.ops.positions import Grid, rope_2d, sincos_1d, sincos_2d


def cut_patches(
  image: Float[Array, 'b h w c'], patch_size: tuple[int, int]
) -> Float[Array, 'b rows columns y x c']:
  """Cuts an image into patches (height, width), row by row.

  Raises:
    UserError: the image is not a whole number of patches.
  """
  b, h, w, c = image.shape
  y, x = patch_size
  if h % y or w % x:
    raise UserError(
      f'an image of {h}×{w} pixels is not a whole number of patches of {y}×{x}'
      f'\nchange the image size of the data or the patch size of the model'
    )
  return jnp.einsum('brypxc->brpyxc', image.reshape(b, h // y, y, w // x, x, c))


class PatchEmbed(nn.Module):
  """Linear embedding of non-overlapping patches (ViT, arXiv:2010.11929, equation 1).

  A convolution whose stride is its kernel, written as the one matmul that it is.

  Attributes:
    width: Of the tokens.
    patch_size: Pixels, (height, width).
    dtype: What is computed in.
  """

  width: int
  patch_size: tuple[int, int]
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, image: Float[Array, 'b h w c']) -> Float[Array, 'b rows columns d']:
    """Embeds every patch; raises UserError if the image is not a whole number of patches."""
    shape = (*self.patch_size, image.shape[-1], self.width)
    kernel = self.param('kernel', fan_init('fan_in', 'truncated_normal', 3), shape)
    bias = self.param('bias', nn.initializers.zeros, (self.width,), jnp.float32)
    patches = cut_patches(image.astype(self.dtype), self.patch_size)
    x = apply_split(partial(contract, axes=3), patches, kernel.astype(self.dtype))
    return x + bias.astype(self.dtype)


class LearnedPositions(nn.Module):
  """A learned vector per patch position, kept as a grid so that it says its own shape.

  Attributes:
    prefix: Whether the tokens before the patches (class token, registers) have vectors as well:
      the original ViT; or not: big_vision, DeiT III.
    stddev: Of the initial vectors; None: 1 / sqrt(width).
  """

  prefix: bool = False
  stddev: float | None = None

  @nn.compact
  def __call__(self, grid: Grid, num_prefix: int, width: int) -> Float[Array, 't d']:
    """The vectors to add to all tokens; raises UserError if they were learned on another grid."""
    init = nn.initializers.normal(self.stddev or width**-0.5)
    if self.has_variable('params', 'grid'):
      learned = self.get_variable('params', 'grid').shape[:2]
      if learned != tuple(grid):
        raise UserError(
          f'the image gives {grid[0]}×{grid[1]} patches, the position embedding was learned on '
          f'{learned[0]}×{learned[1]}\nresample it with vitlab.ops.positions.resample'
        )
    table = self.param('grid', init, (*grid, width), jnp.float32).reshape(-1, width)
    if not num_prefix:
      return table
    if self.prefix:
      before = self.param('prefix', init, (num_prefix, width), jnp.float32)
    else:
      before = jnp.zeros((num_prefix, width), table.dtype)
    return jnp.concatenate([before, table])


class SinCosPositions(nn.Module):
  """Fixed sine-cosine positions of the patches (`vitlab.ops.positions.sincos_2d`)."""

  @nn.compact
  def __call__(self, grid: Grid, num_prefix: int, width: int) -> Float[Array, 't d']:
    """The vectors to add to all tokens, zero for those before the patches."""
    table = sincos_2d(grid, width).reshape(-1, width)
    return jnp.pad(jnp.asarray(table), ((num_prefix, 0), (0, 0)))


class TokenPositions(nn.Module):
  """A vector per place in a text, learned or computed: what is added to the vectors of tokens.

  Attributes:
    kind: 'learned', or one of `vitlab.ops.positions.sincos_1d`: 'sincos' (sines, then cosines),
      'sincos_interleaved'.
    width: Of the vectors.
    max_length: How many are learned.
    keyword: Of the model, for that number; named where a text is longer.
    table: Name of the parameter.
  """

  kind: str
  width: int
  max_length: int
  keyword: str = 'max_length'
  table: str = 'table'

  def setup(self):
    if self.kind == 'learned':
      shape, init = (self.max_length, self.width), nn.initializers.normal(0.02)
      self.vectors = self.param(self.table, init, shape, jnp.float32)

  def __call__(
    self,
    length: int,
    dtype: Any,
    first: Int[Any, ''] | int = 0,
    position: Int[Array, 'b t'] | None = None,
  ) -> Float[Array, '*b t d']:
    """The vectors of `length` places.

    Args:
      length: How many tokens there are.
      dtype: Of the result.
      first: The place of the first of them.
      position: The place of each, where rows differ: of documents that lie behind one another.

    Raises:
      UserError: so many were not learned.
    """
    self.check(length)
    if self.kind != 'learned':
      position = first + jnp.arange(length) if position is None else position
      at_least_32 = jnp.promote_types(dtype, jnp.float32)
      interleaved = self.kind == 'sincos_interleaved'
      return sincos_1d(position, self.width, interleaved, at_least_32).astype(dtype)
    if position is not None:
      return self.vectors[position].astype(dtype)
    return jax.lax.dynamic_slice_in_dim(self.vectors, first, length).astype(dtype)

  def check(self, length: int) -> None:
    """Raises UserError if texts of this length have places that were not learned."""
    if self.kind == 'learned' and length > self.max_length:
      raise UserError(
        f'the model learns the positions of {self.keyword}={self.max_length} tokens; '
        f'sentences of {length} may come\nraise model.{self.keyword}, or take sincos positions'
      )


class AxialPositions(nn.Module):
  """Positions of a long text as places in a table: a vector of the row, a vector of the column.

  Kitaev et al. 2020 (arXiv:2001.04451), in their code: for half a million tokens 1,536 vectors.

  Attributes:
    shape: Rows and columns; a text fills row after row.
    widths: Of the vectors of rows and columns, which lie one behind the other.
  """

  shape: tuple[int, int]
  widths: tuple[int, int]

  def setup(self):
    init = nn.initializers.normal(0.02)
    (rows, columns), (first, second) = self.shape, self.widths
    self.rows = self.param('rows', init, (rows, first), jnp.float32)
    self.columns = self.param('columns', init, (columns, second), jnp.float32)

  def __call__(
    self,
    length: int,
    dtype: Any,
    first: Int[Any, ''] | int = 0,
    position: Int[Array, 'b t'] | None = None,
  ) -> Float[Array, '*b t d']:
    """As of `TokenPositions`."""
    self.check(length)
    position = first + jnp.arange(length) if position is None else position
    row, column = jnp.divmod(position, self.shape[1])
    return jnp.concatenate([self.rows[row], self.columns[column]], axis=-1).astype(dtype)

  def check(self, length: int) -> None:
    """Raises UserError if texts of this length do not fit into the table."""
    rows, columns = self.shape
    if length > rows * columns:
      raise UserError(
        f'the model learns positions of {rows}×{columns} tokens; texts of {length} may come'
        '\nraise model.axial_shape'
      )


class TokenEmbed(nn.Module):
  """A learned vector per token of a vocabulary; the same matrix can make logits.

  Press and Wolf 2016, arXiv:1608.05859; arXiv:1706.03762, section 3.4.

  Attributes:
    vocab_size: How many tokens there are.
    width: Of the vectors.
    dtype: Of the vectors; logits are at least float32.
    logits_bias: Whether a number is learned per token that is added to its logit.
    stddev: Of the initial vectors; None: 1 / sqrt(width), a length of about one.
  """

  vocab_size: int
  width: int
  dtype: Any = jnp.float32
  logits_bias: bool = False
  stddev: float | None = None

  def setup(self):
    init = nn.initializers.normal(self.stddev or self.width**-0.5)
    shape = (self.vocab_size, self.width)
    self.embedding = self.param('embedding', init, shape, jnp.float32)
    if self.logits_bias:
      self.bias = self.param('bias', nn.initializers.zeros, (self.vocab_size,), jnp.float32)

  def __call__(self, tokens: Int[Array, '*b']) -> Float[Array, '*b d']:
    """The vectors of tokens."""
    vectors = apply_split(lambda tokens, table: table[tokens], tokens, self.embedding)
    return constrain_batch(vectors.astype(self.dtype))

  def logits(self, x: Float[Array, '*b d']) -> Float[Array, '*b vocab']:
    """How well x goes with each token: their inner products."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)

    def compare(x, table):
      # Behind a barrier, or XLA:CPU merges the transpositions of the gradient: a slower product.
      return contract(x, jax.lax.optimization_barrier(table.T), dtype=dtype)

    logits = apply_split(compare, x, self.embedding.astype(x.dtype))
    return logits + self.bias.astype(dtype) if self.logits_bias else logits


def make_positions(
  name: str, width: int, num_heads: int
) -> tuple[nn.Module | None, Callable[[Grid], Any] | None]:
  """Position embeddings by name.

  Args:
    name: 'learned' (all tokens), 'learned_patches', 'sincos_2d', 'rope_2d' or 'none'.
    width: Of the tokens.
    num_heads: Of the attention whose queries and keys 'rope_2d' turns.

  Returns:
    (grid, number of tokens before the patches, width) -> what is added to the tokens, and
    grid -> the angles that turn queries and keys; None for what there is not.

  Raises:
    UserError: there is no such embedding, or it cannot have this width.
  """
  kinds = {
    'learned': (LearnedPositions(prefix=True), None),
    'learned_patches': (LearnedPositions(prefix=False), None),
    'sincos_2d': (SinCosPositions(), None),
    'rope_2d': (None, partial(rope_2d, head_dim=width // num_heads)),
    'none': (None, None),
  }
  if name not in kinds:
    raise unknown('position_embedding', name, kinds)
  divided = {'sincos_2d': width, 'rope_2d': width // num_heads}.get(name, 0)
  if divided % 4:
    raise UserError(
      f'position_embedding {name} needs a width (of a head, for rope_2d) that is a multiple of 4'
    )
  return kinds[name]
