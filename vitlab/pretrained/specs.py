"""Small things that all families need to read and write config.json."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from vitlab import registry
from vitlab.errors import UserError, unknown
from vitlab.pretrained.assemble import Shapes


def all_words(spec: Mapping[str, Any]) -> dict[str, Any]:
  """A model spec with the defaults of its `make` for all that it does not say."""
  parameters = inspect.signature(registry.find('models', spec['name'])).parameters
  defaults = {p.name: p.default for p in parameters.values() if p.default is not p.empty}
  return {**defaults, **spec}


def named(given: str, table: Mapping[str, str], what: str) -> str:
  """Our word for theirs; UserError lists theirs if we have none."""
  if given not in table:
    raise unknown(what, str(given), table)
  return table[given]


def refuse(whose: str, **words: Any) -> None:
  """Raises UserError that names the words which are true: what a format cannot hold."""
  wrong = [word for word, bad in words.items() if bad]
  if wrong:
    raise UserError(
      f'{whose} has no such model: it cannot say this {", ".join(wrong)}'
      '\nexport to another --format, or without one: a program of its own (StableHLO)'
    )


def check_heads(key: str, heads: int, width: int) -> int:
  """The number of heads; UserError if the width does not divide into so many."""
  if width % heads:
    raise UserError(
      f'config.json: {key}={heads}, into which the width {width} does not divide'
      '\ncorrect it; where nothing is said, it is what the class of these weights takes'
    )
  return heads


def check_patch(said: int | list[int], patch: tuple[int, ...]) -> None:
  """UserError if config.json says another patch size than the tensors have."""
  if tuple(said if isinstance(said, list) else (said, said)) != tuple(patch):
    raise UserError(
      f'config.json says patch_size={said}, its tensors embed patches of {patch[0]}×{patch[1]}'
      '\ncorrect it, or put the config.json of these weights beside them'
    )


def count(shapes: Shapes, module: str) -> int:
  """How many numbered modules there are below one: 'blocks' -> 12 for 'blocks.11.norm1.bias'."""
  pattern = re.compile(re.escape(module) + r'\.(\d+)\.')
  numbers = [int(match[1]) for name in shapes if (match := pattern.match(name))]
  return max(numbers, default=-1) + 1
