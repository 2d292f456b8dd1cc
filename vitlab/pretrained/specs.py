"""Small things that all families need to read and write config.json."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vitlab import registry
from vitlab.errors import UserError, unknown
from vitlab.layers.choices import pick_size
from vitlab.pretrained.assemble import Shapes

NO_CONFIG = 'Hugging Face weights say their number of heads in config.json: put it beside'
# Hugging Face's words -> ours.
HF_ACTIVATIONS = {
  'gelu': 'gelu',
  'gelu_new': 'gelu_tanh',
  'gelu_pytorch_tanh': 'gelu_tanh',
  'gelu_fast': 'gelu_tanh',
  'relu': 'relu',
  'silu': 'swish',
  'swish': 'swish',
}


def all_words(spec: Mapping[str, Any], variants: Mapping[str, Any] = {}) -> dict[str, Any]:
  """A model spec with the defaults of its `make` for all that it does not say.

  Args:
    spec: Of the model.
    variants: Those of its family, whose numbers are filled in; {}: they stay open.
  """
  words = {**registry.keywords('models', spec['name']), **spec}
  if variants:
    own = {field: words.get(field) for field in next(iter(variants.values()))._fields}
    words |= pick_size(words['name'], variants, words['variant'], **own)._asdict()
  return words


def said(words: Mapping[str, Any], table: Mapping[str, str]) -> dict[str, Any]:
  """What a config.json says of a model, by a table of our words -> its keys."""
  values = {theirs: words[ours] for ours, theirs in table.items()}
  return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def meant(config: Mapping[str, Any], table: Mapping[str, str]) -> dict[str, Any]:
  """What a config.json of Hugging Face means, by a table of our words -> its keys.

  Raises:
    UserError: there is no config.json, or the width does not divide into its number of heads.
  """
  if config.keys().isdisjoint(table.values()):
    raise UserError(NO_CONFIG)
  words = {ours: config[theirs] for ours, theirs in table.items()}
  check_heads(table['num_heads'], words['num_heads'], words['width'])
  return words


def size_words(
  words: Mapping[str, Any], variants: Mapping[str, Any], otherwise: str
) -> dict[str, Any]:
  """Words with the variant that their size is, else one to start from and all its numbers.

  Args:
    words: The numbers of a size, and other words, which stay.
    variants: Those of the family.
    otherwise: The name of one to start from.
  """
  fields = next(iter(variants.values()))._fields
  size = {field: words[field] for field in fields}
  others = {word: value for word, value in words.items() if word not in fields}
  variant = next((name for name, known in variants.items() if known._asdict() == size), '')
  return others | (dict(variant=variant) if variant else dict(variant=otherwise, **size))


def inverse(table: Mapping[str, str]) -> dict[str, str]:
  """Our word -> theirs, from theirs -> ours; of several of theirs the first."""
  return {ours: theirs for theirs, ours in reversed(table.items())}


def short(pair: Sequence[int]) -> int | list[int]:
  """Two sides as JSON has them: one number for a square."""
  return pair[0] if pair[0] == pair[1] else list(pair)


def differing(words: Mapping[str, Any], only: Mapping[str, Any]) -> dict[str, bool]:
  """Which words of a spec have another value than the only one that a format has."""
  return {word: words[word] != value for word, value in only.items()}


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
