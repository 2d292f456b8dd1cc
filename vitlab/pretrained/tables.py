"""A family's table of names -> the tensors and layouts of its parameters.

Kernels lie as torch's weights do, all else is flat: a family says its names, and what is odd.
"""

import re
from collections.abc import Callable, Mapping
from itertools import count, takewhile

from vitlab.ops.positions import Grid
from vitlab.pretrained import layouts
from vitlab.pretrained.assemble import HEAD, Part, PartOf, Shapes, Sides
from vitlab.pretrained.layouts import Layout, Shape

Names = str | tuple[str, ...]
# Our name of a parameter -> torch's.
LEAVES = {'kernel': 'weight', 'scale': 'weight', 'mean': 'running_mean', 'var': 'running_var'}


def torch_leaf(leaf: str) -> str:
  """The end of a name of torch's for ours: 'kernel' -> '.weight'."""
  return '.' + LEAVES.get(leaf, leaf)


def torch_layout(path: str, shape: Shape) -> Layout:
  """How a parameter lies in torch's files, by its name and its number of axes."""
  if not path.endswith('/kernel'):
    return layouts.flat
  if len(shape) == 4 and not path.endswith('kv/kernel'):  # queries, keys, values: [d, 3, n, k]
    return layouts.conv
  return layouts.linear(contracted=2 if path.endswith('/out/kernel') else 1)


def by_table(
  table: Mapping[str, Names],
  *,
  prefix: str = '',
  rename: Callable[[str], str] = str,
  odd: Mapping[str, Layout] = {},
  usual: Callable[[str, Shape], Layout] = torch_layout,
  leaves: Callable[[str], str] = torch_leaf,
  sizes: tuple[int, ...] = (),
) -> Callable[[Sides], PartOf]:
  """The `Format.part_of` of a table of names.

  Args:
    table: Our module -> theirs, see `lookup`.
    prefix: A module, 'vit.', in which all but the classifier lies; the bare model is without it.
    rename: What else becomes of every name.
    odd: End of our path -> the layout of a parameter that does not lie as usual.
    usual: (path, shape) -> the layout of all others.
    leaves: See `lookup`.
    sizes: See `Part`, of all that are made of several tensors.
  """

  def part_of_sides(sides: Sides) -> PartOf:
    bare = sides.theirs and not any(name.startswith(prefix) for name in sides.theirs)

    def part_of(path: str, shape: Shape) -> Part | None:
      names = lookup(table, path, leaves)
      if not names:
        return None
      if not bare:
        names = tuple(name if re.match(HEAD, name) else prefix + name for name in names)
      found = [layout for end, layout in odd.items() if path.endswith('/' + end)]
      layout = found[0] if found else usual(path, shape)
      return Part(tuple(map(rename, names)), layout, sizes if len(names) > 1 else ())

    return part_of

  return part_of_sides


class Seen:
  """The shapes of their tensors by our names: seen['head/kernel'] -> (10, 768).

  With it a family infers its model once for all who publish it. A KeyError names their tensor.
  """

  def __init__(self, part_of: Callable[[Sides], PartOf], theirs: Shapes) -> None:
    self._part_of, self._theirs = part_of(Sides({}, theirs)), theirs

  def __getitem__(self, path: str) -> Shape:
    part = self._part_of(f'params/{path}', ())
    return self._theirs[part.names[0] if part else path]

  def get(self, path: str, default: tuple | None = None) -> tuple | None:
    """The shape, or the default where they have no such tensor."""
    try:
      return self[path]
    except KeyError:
      return default

  def __contains__(self, path: str) -> bool:
    return self.get(path) is not None

  def count(self, path: str) -> int:
    """How many modules are numbered in the place of {}: 'encoder/block_{}/norm1/scale' -> 12."""
    return sum(1 for _ in takewhile(lambda i: path.format(i) in self, count()))

  def depths(self, path: str) -> tuple[int, ...]:
    """How many blocks every stage has: 'stage_{}/block_{}/norm1/scale' -> (2, 2, 6, 2)."""
    stages = self.count(path.replace('block_{}', 'block_0'))
    return tuple(self.count(path.replace('stage_{}', f'stage_{i}')) for i in range(stages))


def below(ours: str, theirs: str, table: Mapping[str, Names]) -> dict[str, Names]:
  """The table of what lies below a module of ours and one of theirs, from names within these."""
  return {
    ours + path: theirs + names if isinstance(names, str) else tuple(theirs + n for n in names)
    for path, names in table.items()
  }


def column(table: Mapping[str, tuple], number: int) -> dict[str, Names]:
  """The names of one format from a table of several; None in it: there are none."""
  return {path: row[number] for path, row in table.items() if row[number] is not None}


def of_tokens(sides: Sides, patch: tuple[int, ...] | None) -> dict[str, Layout]:
  """The layouts of tokens that are learned and of positions, where both lie in front of patches.

  Args:
    sides: What is known of the weights and the model.
    patch: Pixels (height, width) of a patch, where known.
  """
  prefix = sides.ours.get('params/position_embedding/prefix', (0,))
  grid: Grid | None = None
  if sides.image_size and patch:
    grid = (sides.image_size[0] // patch[0], sides.image_size[1] // patch[1])
  return dict.fromkeys(('cls_token', 'dist_token', 'registers', 'pool/probe'), layouts.batched) | {
    'position_embedding/prefix': layouts.first_positions(),
    'position_embedding/grid': layouts.grid_positions(prefix[0], grid),
  }


def lookup(
  table: Mapping[str, Names],
  path: str,
  leaves: Callable[[str], str] = torch_leaf,
) -> tuple[str, ...]:
  """The tensors of a parameter by a table of modules; () if it has none.

  Args:
    table: Our module, or a parameter outside any -> theirs, or several of theirs:
      'encoder/block_{}/mlp/up' -> 'blocks.{}.mlp.fc1'. Every {} is a number.
    path: 'params/encoder/block_3/mlp/up/kernel'.
    leaves: The last part of our name -> the end of theirs; torch's by default.
  """
  path = path.partition('/')[2]
  numbers = re.findall(r'_(\d+)(?=/|$)', path)
  path = re.sub(r'_\d+(?=/|$)', '_{}', path)
  module, _, leaf = path.rpartition('/')
  theirs = table.get(path) or table.get(module, ())
  suffix = '' if path in table else leaves(leaf)
  theirs = (theirs,) if isinstance(theirs, str) else theirs
  return tuple(name.format(*numbers) + suffix for name in theirs)
