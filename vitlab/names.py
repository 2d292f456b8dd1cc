"""Parameter names: '/'.join of the path inside one player's parameters, matched by `re.search`.

Names are an interface: freezing, weight decay, learning rates, sharding and weight import find
parameters by them. Blocks are `block_{i}`, or `blocks` with a leading depth axis when scanned.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

from vitlab.errors import UserError

# Parameters in front of the blocks: embeddings, positions, tokens, the first layer.
EMBEDDING = re.compile(
  r'(^|/)(\w*embed\w*|\w*_token|registers)(/|$)'
  r'|^(stem|patch_norm|pixel_position|projection)/'
)


def join(path: tuple[Any, ...]) -> str:
  """The name of a leaf from its key path."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def flatten(tree: Any) -> dict[str, Any]:
  """name -> leaf, in the order of the tree."""
  return {join(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def mapper(values: Mapping[str, Any]) -> Callable[[Any], Any]:
  """A function from a tree of parameters, or a masked part of it, to the tree of their values."""
  return lambda tree: jax.tree_util.tree_map_with_path(lambda path, _: values[join(path)], tree)


def is_stacked(name: str) -> bool:
  """Whether the leading axis of this parameter is the depth (blocks stacked by `nn.scan`)."""
  return 'blocks' in name.split('/')


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
