"""Pipelines written as a string: operations joined by `|`, with Python literals as arguments.

`'random_crop(padding=2)|flip'` is read with a table from names to functions. What such a function
takes without a default is given to it at each call; a pipeline sets those that have one.
"""

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from vitlab.errors import UserError, unknown
from vitlab.ops import policies

Operations = Mapping[str, Callable[..., Any]]

# A keyword means the same thing in every operation, so what it may be stands here once.
LIMITS = {
  'alpha': (1e-3, 1e3),
  'brightness': (0.0, 10.0),
  'contrast': (0.0, 10.0),
  'cutmix_alpha': (1e-3, 1e3),
  'degrees': (0.0, 180.0),
  'fill': (0.0, 1.0),
  'hue': (0.0, 0.5),
  'jitter': (0.0, 10.0),
  'magnitude': (0.0, policies.MAX_MAGNITUDE),
  'magnitude_std': (0.0, policies.MAX_MAGNITUDE),
  'mixup_alpha': (1e-3, 1e3),
  'num_layers': (0, 16),
  'padding': (0, 1024),
  'probability': (0.0, 1.0),
  'ratio': (1e-2, 1e2),
  'saturation': (0.0, 10.0),
  'scale': (1e-6, 1.0),
  'shear': (0.0, 10.0),
  'side': (0.0, 1.0),
  'switch_probability': (0.0, 1.0),
  'translate': (0.0, 1.0),
  'value': (0.0, 1.0),
  'zoom': (1e-2, 1e2),
}
CHOICES = {
  'interpolation': ('bilinear', 'bicubic'),
  'mode': ('zero', 'reflect', 'edge'),
}


def read(pipeline: str, operations: Operations) -> list[Callable[..., Any]]:
  """The stages of a pipeline, from left to right, with their keywords set; none for ''.

  Raises:
    UserError: the string cannot be read, or an operation, a keyword or a value does not exist;
      names those that do.
  """
  try:
    return [_stage(node, operations) for node in _split(pipeline)]
  except SyntaxError:
    raise UserError(
      f'cannot read the augmentation {pipeline!r}\n'
      "write operations joined by |, with literal arguments: 'flip(probability=0.5)|mixup'\n"
      f'possible are {", ".join(sorted(operations))}'
    ) from None


def _split(pipeline: str) -> list[ast.expr]:
  """The stages as syntax trees: the whole string is a Python expression joined by `|`."""
  if not pipeline.strip():
    return []
  try:
    node = ast.parse(pipeline.strip(), mode='eval').body
  except ValueError:  # a zero byte
    raise SyntaxError from None
  stages = []
  while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
    stages.insert(0, node.right)
    node = node.left
  return [node, *stages]


def _stage(node: ast.expr, operations: Operations) -> Callable[..., Any]:
  arguments, keywords = [], {}
  function = node
  if isinstance(node, ast.Call):
    function = node.func
    try:
      arguments = [ast.literal_eval(a) for a in node.args]
      keywords = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
    except (ValueError, TypeError):
      raise SyntaxError from None
  if not isinstance(function, ast.Name) or None in keywords:
    raise SyntaxError
  if function.id not in operations:
    raise unknown('augmentation', function.id, operations)
  return _bind(function.id, operations[function.id], arguments, keywords)


def _bind(name: str, operation: Callable, arguments: list[Any], keywords: dict[str, Any]):
  signature = inspect.signature(operation).parameters
  parameters = {k: p for k, p in signature.items() if p.default is not p.empty}
  if len(arguments) > len(parameters):
    raise UserError(f'{name} takes at most {len(parameters)} arguments: {", ".join(parameters)}')
  for key, value in zip(parameters, arguments):
    if key in keywords:
      raise UserError(f'{name} got two values for {key}: give it once')
    keywords[key] = value
  for key, value in keywords.items():
    if key not in parameters:
      raise unknown(f'keyword of augmentation {name}', key, parameters)
    keywords[key] = _convert(name, key, value, parameters[key].default)
  return functools.partial(operation, **keywords)


def _convert(name: str, key: str, value: Any, default: Any) -> Any:
  """The value as the type of its default: an int may stand for a float, a list for a tuple."""
  given = f'augmentation {name}({key}={value!r})'
  if isinstance(default, str):
    if value not in CHOICES[key]:
      raise UserError(f'{given}: possible are {", ".join(CHOICES[key])}')
    return value
  pair = isinstance(default, tuple)
  if pair and not (isinstance(value, tuple | list) and len(value) == len(default)):
    raise UserError(f'{given}: expected two values, such as {default}')
  numbers, kind = (value, float) if pair else ([value], type(default))
  if not all(_is_a(kind, number) for number in numbers):
    raise UserError(f'{given}: expected {kind.__name__}, such as {default}')
  low, high = LIMITS[key]
  if not all(low <= number <= high for number in numbers):
    raise UserError(f'{given}: expected from {low:g} to {high:g}')
  if list(numbers) != sorted(numbers):
    raise UserError(f'{given}: expected the smaller value first')
  return tuple(map(kind, numbers)) if pair else kind(value)


def _is_a(kind: type, value: Any) -> bool:
  return isinstance(value, (int, kind)) and not isinstance(value, bool)
