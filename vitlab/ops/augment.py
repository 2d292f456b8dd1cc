"""Augmentation on the device, inside the training step: pipelines of keyed operations.

A pipeline is a string such as `'random_crop(padding=2)|flip|mixup(alpha=0.2)'`: the operations of
`OPERATIONS` from left to right, with Python literals as arguments. An operation is a pure function
of (key, image, target): float images in [0, 1] `b h w c` and soft targets `b classes`. What it
draws depends on the key alone, so a run is the same on any number of devices and after any restart.
"""

import ast
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float, Shaped

from vitlab.errors import UserError, unknown
from vitlab.ops import geometry, mix

Key = Shaped[Array, '']
Image = Float[Array, 'b h w c']
Target = Float[Array, 'b classes']
Augment = Callable[[Key, Image, Target], tuple[Image, Target]]

OPERATIONS: dict[str, Callable[..., tuple[Image, Target]]] = {
  'random_crop': geometry.random_crop,
  'flip': geometry.flip,
  'mixup': mix.mixup,
}

# The same keyword means the same thing in every operation, so its limits stand here once.
LIMITS = {
  'padding': (0, 1024),
  'probability': (0.0, 1.0),
  'alpha': (1e-3, 1e3),
}


def compile(pipeline: str) -> Augment:
  """Reads a pipeline; the empty string changes nothing.

  Raises:
    UserError: the string cannot be read, or an operation, a keyword or a value does not exist;
      names those that do.
  """
  stages = [_stage(node, pipeline) for node in _split(pipeline)]

  def augment(key: Key, image: Image, target: Target) -> tuple[Image, Target]:
    for position, stage in enumerate(stages):
      image, target = stage(jax.random.fold_in(key, position), image, target)
    return image, target

  return augment


def _split(pipeline: str) -> list[ast.expr]:
  """The stages as syntax trees: the whole string is a Python expression joined by `|`."""
  if not pipeline.strip():
    return []
  try:
    node = ast.parse(pipeline.strip(), mode='eval').body
  except (SyntaxError, ValueError):
    raise _unreadable(pipeline) from None
  stages = []
  while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
    stages.insert(0, node.right)
    node = node.left
  return [node, *stages]


def _stage(node: ast.expr, pipeline: str) -> Augment:
  arguments, keywords = [], {}
  function = node
  if isinstance(node, ast.Call):
    function = node.func
    try:
      arguments = [ast.literal_eval(a) for a in node.args]
      keywords = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
    except (ValueError, TypeError):
      raise _unreadable(pipeline) from None
  if not isinstance(function, ast.Name) or None in keywords:
    raise _unreadable(pipeline)
  if function.id not in OPERATIONS:
    raise unknown('augmentation', function.id, OPERATIONS)
  return _bind(function.id, arguments, keywords)


def _bind(name: str, arguments: list[Any], keywords: dict[str, Any]) -> Augment:
  operation = OPERATIONS[name]
  # The first three are key, image and target.
  parameters = dict(list(inspect.signature(operation).parameters.items())[3:])
  if len(arguments) > len(parameters):
    raise UserError(f'{name} takes at most {len(parameters)} arguments: {", ".join(parameters)}')
  for key, value in zip(parameters, arguments):
    if key in keywords:
      raise UserError(f'{name} got two values for {key}: give it once')
    keywords[key] = value
  for key, value in keywords.items():
    if key not in parameters:
      raise unknown(f'keyword of augmentation {name}', key, parameters)
    _check(name, key, value, parameters[key].default)
  return functools.partial(operation, **keywords)


def _check(name: str, key: str, value: Any, default: Any) -> None:
  """A value has the type of its default (an int may stand for a float) and lies in its limits."""
  given = f'augmentation {name}({key}={value!r})'
  if isinstance(default, tuple):
    if not isinstance(value, tuple | list) or len(value) != len(default):
      raise UserError(f'{given}: expected {len(default)} values such as {default}')
    for element, example in zip(value, default):
      _check(name, key, element, example)
    if list(value) != sorted(value):
      raise UserError(f'{given}: expected the smaller value first, such as {default}')
    return
  expected = (int, float) if isinstance(default, float) else type(default)
  if isinstance(value, bool) != isinstance(default, bool) or not isinstance(value, expected):
    raise UserError(f'{given}: expected {type(default).__name__}, such as {default!r}')
  low, high = LIMITS.get(key, (value, value))
  if not low <= value <= high:
    raise UserError(f'{given}: expected a value from {low:g} to {high:g}')


def _unreadable(pipeline: str) -> UserError:
  return UserError(
    f'cannot read the augmentation {pipeline!r}\n'
    "write operations joined by |, with literal arguments: 'random_crop(padding=4)|flip'\n"
    f'possible are {", ".join(sorted(OPERATIONS))}'
  )
