"""Parameter names, and the roles that they give: what is said by a name is said here once.

A name is the '/'.join of the path inside one player's parameters: 'encoder/block_3/mlp/up/kernel'.
Names are an interface: freezing, weight decay, learning rates, sharding, optimisers, weight import
and reports find parameters by them, users with `re.search`. A new model gets its roles by naming
its modules in the words of the tables below. A parameter that they do not cover lies behind the
blocks: layer decay leaves its rate as it is, Muon orthogonalises its kernel, no axis is split.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from vitlab import registry
from vitlab.errors import UserError

# Blocks are `block_{i}`, or `blocks` with a leading depth axis when scanned. A model has one stack
# of them, or a stack in every `stage_{i}`.
_BLOCK = re.compile(
  r'((?P<before>^|.*/)stage_(?P<stage>\d+)/|^|.*?/)(blocks|block_(?P<number>\d+))(/|$)'
)
_MERGING = re.compile(r'(.*/)?merging_(\d+)/')  # in front of the stage of that number

# Modules and parameters in front of the first block, which make its input of pictures or words.
_INPUT_LAYER = re.compile(
  r'\w*embed\w*'  # of patches, words, positions, segments; a norm of these
  r'|\w*_positions?'  # learned positions by another name: those of TNT's pixels
  r'|\w*_token|registers|\w*_queries'  # learned vectors beside the tokens, or in their place
  r'|stem|patch_norm'  # a first convolution; the norm of embedded patches
  r'|(input_)?projection'  # of pixels, or of a backbone's features, to the width of the blocks
)
# Modules behind the last block that make predictions of features: head, head_dist, box_head.
_OUTPUT_LAYER = re.compile(r'\w*head\w*')

_QKV = r'(^|/)(q|k|v|kv|qkv|r)/'
# The axis that tensor parallelism splits (Megatron, arXiv:1909.08053): heads of attention, hidden
# units of an MLP. It is counted from the end, because stacked blocks have one more in front.
_TENSOR_PARALLEL = (
  (re.compile(rf'{_QKV}(kernel|bias)$'), -2),  # kernel [d, (3,) n, k], bias [(3,) n, k]
  (re.compile(r'(attention|cross)/out/kernel$'), -3),  # [n, k, d]
  (re.compile(r'mlp/(up|gate)/(kernel|bias)$'), -1),  # kernel [d, f], bias [f]
  (re.compile(r'mlp/down/kernel$'), -2),  # [f, d]
)

# Kernels that hold several matrices: of query, key and value; of the gates of a recurrent cell.
_HEADS = re.compile(rf'{_QKV}kernel$')  # [in ... heads head_dim]
_GATES = re.compile(r'(^|/)(hidden|context|\w*input)/kernel$')  # [in gates out]

# Tokens that a classifier may read; they stand before all others, in this order.
_CLASS_TOKENS = ('cls_token', 'dist_token')


class Counted(NamedTuple):
  """Classes or words: what the data number, and the parts of a model that depend on them.

  Attributes:
    keyword: Keyword of a model for how many there are.
    noun: Plural in sentences.
    modules: Top-level modules with an axis of that size; new data need new ones.
    parameters: Those whose shapes show how many there are, of one model or another.
    axis: The axis of such a parameter.
  """

  keyword: str
  noun: str
  modules: tuple[str, ...]
  parameters: tuple[str, ...]
  axis: int

  def number(self, params: Mapping[str, Any]) -> int | None:
    """How many there are, by one of `parameters` among name -> array; None if there is none."""
    path = next((path for path in self.parameters if path in params), None)
    if path is None:
      return None
    return params[path].shape[self.axis] - (path.partition('/')[0] in _ONE_MORE)


CLASSES = Counted(
  'num_classes',
  'classes',
  ('head', 'head_dist', 'next_head', 'class_head', 'region_class_head', 'region_delta_head')
  + ('class_head_0', 'class_head_1', 'class_head_2'),  # of the maps of a detector
  ('head/kernel', 'class_head/kernel', 'region_class_head/kernel', 'class_head_0/kernel'),
  -1,
)
# Heads in which classes do not come first, one after the other: how many numbers are before them,
# and of each. What is behind the classes needs no word.
_AROUND = {'region_class_head': (1, 1), 'region_delta_head': (4, 4)}
# Heads with one number more than there are classes: DETR's 'no object', Faster R-CNN's background.
_ONE_MORE = frozenset({'class_head', 'region_class_head'})
# Keywords of a model that say which heads it has; what not every head needs, or training alone.
HEAD_KEYWORDS = frozenset({'head', 'next_passage', 'pooler'})
BESIDE_HEAD = r'params/(pooler/|query_token$|object_queries/(more$|class_embed/|box_embed/))'
WORDS = Counted(
  'vocab_size',
  'words',
  ('head', 'source', 'target', 'token_embedding'),
  ('source/embedding', 'token_embedding/embedding'),
  0,
)


class Block(NamedTuple):
  """The block that a parameter belongs to.

  Attributes:
    stack: Name of the stack of blocks, '' at the top of the tree; that of all stages together.
    stage: Number of the stage within the stack, 0 where there are none.
    number: Number of the block within the stage; None of stacked blocks.
  """

  stack: str
  stage: int
  number: int | None


def join(path: tuple[Any, ...]) -> str:
  """The name of a leaf from its key path."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def flatten(tree: Any) -> dict[str, Any]:
  """name -> leaf, in the order of the tree."""
  return {join(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def mapper(values: Mapping[str, Any]) -> Callable[[Any], Any]:
  """A function from a tree of parameters, or a masked part of it, to the tree of their values."""
  return lambda tree: jax.tree_util.tree_map_with_path(lambda path, _: values[join(path)], tree)


def block(name: str) -> Block | None:
  """The block that a parameter belongs to; None outside of all blocks."""
  match = _BLOCK.match(name)
  if match is None:
    return None
  stack = match[1] if match['stage'] is None else match['before']
  number = match['number']
  return Block(stack.rstrip('/'), int(match['stage'] or 0), None if number is None else int(number))


def is_stacked(name: str) -> bool:
  """Whether the leading axis of this parameter is the depth (blocks stacked by `nn.scan`)."""
  return 'blocks' in name.split('/')


def of_any_block(name: str) -> str:
  """The name with `block_*` in place of every `block_{i}`, the same for all blocks."""
  return re.sub(r'(^|/)block_\d+(?=/)', r'\1block_*', name)


def merged_stage(name: str) -> int | None:
  """The stage that a parameter of patch merging lies in front of; None for other parameters."""
  match = _MERGING.match(name)
  return match and int(match[2])


def is_input_layer(name: str) -> bool:
  """Whether a parameter lies in front of the first block: embedding, position, token, stem."""
  return block(name) is None and any(map(_INPUT_LAYER.fullmatch, name.split('/')))


def is_output_layer(name: str) -> bool:
  """Whether a parameter belongs to a head."""
  return block(name) is None and any(map(_OUTPUT_LAYER.fullmatch, name.split('/')))


def tensor_parallel_axis(name: str) -> int | None:
  """The axis of heads or hidden units, counted from the end; None: the parameter is not split."""
  return next((axis for regex, axis in _TENSOR_PARALLEL if regex.search(name)), None)


def matrix_axes(name: str, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
  """The input and the output axes of a kernel; None for other roles, and for first or last layers.

  Axes that are neither count matrices: stacked blocks, query, key and value, a cell's gates.

  Args:
    name: Name of the parameter.
    ndim: Number of axes of the parameter.
  """
  axes = tuple(range(int(is_stacked(name)), ndim))
  if not name.endswith('kernel') or len(axes) < 2 or is_input_layer(name) or is_output_layer(name):
    return None
  if _HEADS.search(name) and len(axes) > 2:
    return axes[:1], axes[-2:]
  if _GATES.search(name):
    return axes[:1], axes[-1:]
  return axes[:-1], axes[-1:]


def counted(model: str) -> Counted:
  """What new data change of a model of this name: its classes, or its words if it can have none.

  A model that can classify texts keeps its words.
  """
  keywords = registry.keywords('models', model)
  words = WORDS.keyword in keywords and CLASSES.keyword not in keywords
  return WORDS if words else CLASSES


def of_classes(module: str, length: int, order: Sequence[int]) -> list[int]:
  """Which numbers of the last axis of a head are those of the classes in another order.

  Args:
    module: One of `CLASSES.modules`.
    length: Of this axis.
    order: The number that each class has had; all of them.
  """
  before, each = _AROUND.get(module, (0, 1))
  moved = [before + each * number + i for number in order for i in range(each)]
  return [*range(before), *moved, *range(before + len(moved), length)]


def class_tokens(names: Collection[str]) -> list[str]:
  """The tokens that a classifier may read, of a model with these names at the top of its tree."""
  return [name for name in _CLASS_TOKENS if name in names]


def matching(regex: Any, names: Iterable[str], what: str) -> set[str]:
  """The names in which a regular expression is found.

  Raises:
    UserError: not a regular expression, or nothing matches; names the near parameters.
  """
  names = list(names)
  try:
    found = {name for name in names if re.search(regex, name)}
  except (re.error, TypeError) as error:
    raise UserError(f'{what} {regex!r} is not a regular expression: {error}') from None
  if found:
    return found
  near = difflib.get_close_matches(regex.strip('^$'), names, n=3, cutoff=0.3) or names[:3]
  raise UserError(
    f'{what} {regex!r} matches none of the {len(names)} parameters.\n'
    f'Near ones are {", ".join(near)}; --mode=inspect lists all'
  )
