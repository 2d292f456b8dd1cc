"""What a model looks at in an image: attention of every block, rollout, saliency, occlusion."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vitlab import names
from vitlab.errors import UserError
from vitlab.ops import attention_maps, saliency
from vitlab.ops.attention_maps import Layout
from vitlab.ops.windows import window_and_shift
from vitlab.predict.trained import Trained

QUERIES = 7  # along each side of a feature map


class Layer(NamedTuple):
  """The attention of one block to one image.

  Attributes:
    name: 'layer 3', 'inner layer 3'.
    maps: Attention of each head from the tokens that the classifier reads (class token,
      distillation token); from the average token where it reads the mean of the patches, or inside
      windows.
    queries: Attention of each head from single cells of the feature map, by query.
    asked: Rows and columns of these queries.
    distance: Mean attention distance of each head, in pixels.
    window: Side of the windows in cells of the map; 0: attention is global.
    shift: Shift of the windows in cells of the map.
  """

  name: str
  maps: Float[np.ndarray, 'n rows columns']
  queries: Float[np.ndarray, 'q n rows columns']
  asked: Int[np.ndarray, 'q 2']
  distance: Float[np.ndarray, ' n']
  window: int = 0
  shift: int = 0


class Look(NamedTuple):
  """What a model makes of an image, and what that rests on.

  Attributes:
    probabilities: Probabilities of the classes.
    saliency: Input times gradient of the logit of the predicted class, by pixel.
    occlusion: Drop in the probability of the predicted class when a patch is covered, by patch.
    layers: Attention of every block; none where the model has none over the image.
    rollout: Attention through all blocks at once (attention rollout).
  """

  probabilities: Float[np.ndarray, ' classes']
  saliency: Float[np.ndarray, 'h w']
  occlusion: Float[np.ndarray, 'y x']
  layers: Sequence[Layer] = ()
  rollout: Float[np.ndarray, 'rows columns'] | None = None

  @property
  def overlays(self) -> dict[str, Float[np.ndarray, '_ _']]:
    """What may lie over the image, zero where it says nothing for the prediction."""
    found = {'saliency': np.maximum(self.saliency, 0), 'occlusion': np.maximum(self.occlusion, 0)}
    if self.rollout is None:
      return found
    # Blocks pass every token on, so a good part of rollout is the same everywhere.
    return {'rollout': self.rollout - self.rollout.min(), **found}


class Block(NamedTuple):
  """Which weights among the intermediates are those of a block, and where its tokens lie."""

  name: str
  key: str
  index: int
  layout: Layout


def looker(trained: Trained) -> Callable[[UInt8[np.ndarray, 'h w c']], Look]:
  """A function that looks at one image after the other; compiled once for each size.

  Raises:
    UserError: the task of the model does not classify images.
  """
  predict = trained.task.predict
  if not {'intermediates', 'logits', 'probabilities'} <= set(predict):
    raise UserError('only classifiers of images can be looked at')

  @jax.jit
  def look(variables, image):
    batch, pixels = {'image': image[None]}, image.astype(jnp.float32)
    probabilities = predict['probabilities'](variables, batch)[0]
    said = probabilities.argmax()

    def score(name):
      return lambda images: predict[name](variables, {'image': images})[:, said]

    key = jax.random.key(0)
    gradient = saliency.input_times_gradient(score('logits'), pixels, key)
    covered = saliency.occlusion(score('probabilities'), pixels)
    out = predict['intermediates'](variables, batch)
    return probabilities, gradient, covered, *_attention(trained, out, image.shape[:2])

  def run(image):
    *found, layers, rollout = jax.tree.map(np.asarray, look(trained.variables, image))
    batch = {'image': jax.ShapeDtypeStruct((1, *image.shape), image.dtype)}
    out = jax.eval_shape(predict['intermediates'], trained.variables, batch)
    named = [
      Layer(block.name, maps, queries, _asked(block.layout)[1], distance, *block.layout[3:])
      for block, (maps, queries, distance) in zip(blocks(out), layers)
    ]
    return Look(*found, named, rollout)

  return run


def blocks(out: Mapping[str, Any]) -> list[Block]:
  """The attention blocks of a model, by the shapes of its intermediates; none if not over a map."""
  if 'attention' not in out or 'levels' not in out:
    return []
  found, last, place = [], None, 0
  for i, weights in enumerate(out['attention']):
    if weights.ndim == 4:
      grid = out['levels'][-1].shape[1:3]
      prefix = weights.shape[-1] - math.prod(grid)
      if prefix < 0:
        return []
      layout = attention_maps.everywhere(grid, prefix)
    else:
      grid = out['blocks'][i]['tokens'].shape[1:3]
      place = place + 1 if grid == last else 0
      window, shift = window_and_shift(grid, math.isqrt(weights.shape[-1]), place % 2 == 1)
      layout, last = attention_maps.windowed(grid, window, shift), grid
    found.append(Block(f'layer {i + 1}', 'attention', i, layout))
  for i, weights in enumerate(out.get('inner_attention', ())):
    # The pixels of a patch are the tokens of a window.
    side = math.isqrt(weights.shape[-1])
    layout = attention_maps.windowed(tuple(n * side for n in out['levels'][-1].shape[1:3]), side)
    found.append(Block(f'inner layer {i + 1}', 'inner_attention', i, layout))
  return found


def reads(trained: Trained) -> str:
  """Which tokens the model reads in the end, in words."""
  params = trained.variables['model']['params']
  if not _reads_class_token(trained):
    return 'the average patch'
  tokens = names.class_tokens(params)
  return 'the class token' if len(tokens) == 1 else 'the class and distillation tokens'


def _attention(
  trained: Trained, out: Mapping[str, Any], size: tuple[int, int]
) -> tuple[list[tuple[Array, Array, Array]], Array | None]:
  """Maps, maps of queries and distances of every block; rollout."""
  layers, mixed = [], []
  for block in blocks(out):
    layout = block.layout
    weights = out[block.key][block.index].astype(jnp.float32)
    weights = weights.reshape(len(layout.places), -1, *weights.shape[-2:])
    cell = tuple(pixels / cells for pixels, cells in zip(size, layout.grid))
    relevance = jnp.asarray(_readers(trained, layout))
    asked = jnp.asarray(attention_maps.one_hot(_asked(layout)[0], layout))
    layers.append(
      (
        attention_maps.looks(relevance[None], weights, layout)[0],
        attention_maps.looks(asked, weights, layout),
        attention_maps.attention_distance(weights, layout, cell),
      )
    )
    if block.key == 'attention':
      mixed.append((weights, layout))
  if not mixed:
    return [], None
  first, last = mixed[0][1], mixed[-1][1]
  rolled = attention_maps.rollout(mixed, jnp.asarray(_readers(trained, last))[None])[0]
  return layers, rolled[first.prefix :].reshape(first.grid)


def _readers(trained: Trained, layout: Layout) -> Float[np.ndarray, ' places']:
  """The tokens that the model reads, as relevance."""
  if not layout.prefix or not _reads_class_token(trained):
    return attention_maps.patches(layout)
  tokens = names.class_tokens(trained.variables['model']['params'])
  return attention_maps.one_hot(range(len(tokens)), layout).mean(axis=0)


def _reads_class_token(trained: Trained) -> bool:
  """A class token may be there and yet not be read: `pool` says so."""
  spec = trained.config.model if trained.config is not None else {}
  read = spec.get('pool', 'cls') in ('cls', 'cls_gap')
  return read and bool(names.class_tokens(trained.variables['model']['params']))


def _asked(layout: Layout) -> tuple[list[int], Int[np.ndarray, 'q 2']]:
  """Queries spread evenly over the map: their places, and their rows and columns."""
  ends = [np.unique(((np.arange(QUERIES) + 0.5) * n / QUERIES).astype(int)) for n in layout.grid]
  cells = np.stack(np.meshgrid(*ends, indexing='ij'), axis=-1).reshape(-1, 2)
  return (layout.prefix + cells @ [layout.grid[1], 1]).tolist(), cells
