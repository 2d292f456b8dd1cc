"""What the words that all families share stand for in a config."""

import dataclasses
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import flax.linen as nn
import jax.numpy as jnp

from vitlab.errors import UserError, unknown
from vitlab.layers.dense import Dense

# A field of a module that says how it reads, which is no part of what it has learned: models are
# compared by their repr, and those that differ in ways alone are the same.
way = partial(dataclasses.field, repr=False)

HEADS = ('words', 'text', 'tokens', 'none')  # of models of texts
AnySize = TypeVar('AnySize', bound=tuple[Any, ...])


class Size(NamedTuple):
  """The size of a stack of Transformer blocks: channels, blocks, heads, hidden units of an mlp."""

  width: int
  depth: int
  num_heads: int
  mlp_dim: int


def pick_size(
  family: str, variants: Mapping[str, AnySize], variant: str, **overrides: Any
) -> AnySize:
  """The size of a variant, with other numbers where a config gives them.

  Args:
    family: The name of the model, for messages.
    variants: Name -> size, a NamedTuple.
    variant: One of these names.
    **overrides: Fields of the size; None leaves a field as it is.

  Raises:
    UserError: no such variant, a number below 1, or a width that its heads do not divide.
  """
  if variant not in variants:
    raise unknown(f'{family} variant', variant, variants)
  given = {
    name: tuple(value) if isinstance(value, list | tuple) else value
    for name, value in overrides.items()
    if value is not None
  }
  for name, value in given.items():
    numbers = value if isinstance(value, tuple) else (value,)
    if not numbers or any(isinstance(number, int) and number < 1 for number in numbers):
      needs = 'need' if isinstance(value, tuple) else 'needs'
      raise UserError(f'{family}: {name}={value} {needs} to be 1 or more')
  size = variants[variant]._replace(**given)
  for prefix in ('', 'inner_'):
    width, heads = (getattr(size, f'{prefix}{field}', 1) for field in ('width', 'num_heads'))
    if isinstance(heads, int) and width % heads:
      raise UserError(f'{family}: the width {width} does not divide into {heads} heads')
  return size


def check_words(possible: Mapping[str, Collection[str]], **words: str) -> None:
  """Raises UserError unless every word is a possible one; names its keyword and lists them."""
  for key, choices in possible.items():
    if words[key] not in choices:
      raise unknown(key, words[key], choices)


def check_head(family: str, head: str, num_classes: int | None) -> None:
  """Raises UserError unless it is one of `HEADS`, with the number of classes that it needs."""
  if head not in HEADS:
    raise unknown('head', head, HEADS)
  if head in ('text', 'tokens') and not num_classes:
    raise UserError(f'{family}: head={head!r} needs num_classes')


def check_rates(**rates: float) -> None:
  """Raises UserError unless all are probabilities below 1."""
  for name, rate in rates.items():
    if not 0 <= rate < 1:
      raise UserError(f'{name}={rate} is not a probability below 1')


def check_answers(
  kind: str, num_classes: int, score_threshold: float, nms_iou: float, max_detections: int
) -> None:
  """Raises UserError unless a detector can choose its answers by these numbers."""
  for name, count in dict(num_classes=num_classes, max_detections=max_detections).items():
    if count < 1:
      raise UserError(f'{kind}: {name}={count} needs to be 1 or more')
  for name, share in dict(score_threshold=score_threshold, nms_iou=nms_iou).items():
    if not 0 <= share <= 1:
      raise UserError(f'{kind}: {name}={share} needs to be from 0 to 1')


def compute_dtype(name: str) -> jnp.dtype:
  """What a model computes in; UserError lists the names."""
  names = ('bfloat16', 'float16', 'float32', 'float64')
  if name not in names:
    raise unknown('dtype', name, names)
  return jnp.dtype(name)


def classifier(num_classes: int | None, dtype: jnp.dtype) -> Dense | None:
  """The head, in at least float32: it starts at zero, so that the first loss is that of a guess.

  Without classes there is none.
  """
  if num_classes is None:
    return None
  zeros = nn.initializers.zeros
  return Dense(num_classes, dtype=jnp.promote_types(dtype, jnp.float32), kernel_init=zeros)
