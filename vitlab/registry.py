"""The folder is the registry: `dict(name='vit', **kw)` means `vitlab.models.vit.make(**kw)`.

A component is a file with a function `make`; its keyword arguments are its schema. To add a model
is to add a file. Where a component is made of others, the config nests them:

  dict(name='vit', backbone=dict(name='resnet', ...))
  dict(name='distillation', task=dict(name='classification', ...), teacher=dict(name='resnet', ...))
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from vitlab.errors import UserError, unknown

REQUIRED = inspect.Parameter.empty
# Keywords that stand for a component -> the folder it is in.
PARTS = {'backbone': 'models', 'teacher': 'models', 'encoder': 'models', 'task': 'tasks'}


def names(folder: str) -> list[str]:
  """The component names in `vitlab/<folder>/`: its files, except those that start with `_`."""
  package = importlib.import_module(f'vitlab.{folder}')
  return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != '_')


def module(folder: str, name: str) -> ModuleType:
  """The file of a component.

  Args:
    folder: A folder of vitlab, as 'models' or 'sweep.backends'.
    name: A file in it.

  Raises:
    UserError: no such component; names those that exist.
  """
  if name not in names(folder):
    raise unknown(f'name in vitlab/{_path(folder)}', str(name), names(folder))
  return importlib.import_module(f'vitlab.{folder}.{name}')


def find(folder: str, name: str) -> Callable[..., Any]:
  """The `make` of a component.

  Raises:
    UserError: no such component; names those that exist.
  """
  return module(folder, name).make


def keywords(folder: str, name: str) -> dict[str, Any]:
  """What the `make` of a component takes, with the defaults; `REQUIRED` of what has none."""
  parameters = inspect.signature(find(folder, name)).parameters.values()
  return {p.name: p.default for p in parameters}


def make(folder: str, spec: Mapping[str, Any], **given: Any) -> Any:
  """Builds a component from its spec (a config node) and what the caller passes beside it.

  Specs under the keywords of `PARTS` are built first. What the caller passes goes to the innermost
  component of the folder: of a wrapper `Task -> Task` and its task, the task has the model.

  Raises:
    UserError: the spec has no name, the name or one of its keywords does not exist, one is missing,
      or one is None that is not None by default.
  """
  keywords = dict(spec)
  if 'name' not in keywords:
    known = ', '.join(names(folder))
    raise UserError(f'a spec for vitlab/{_path(folder)} needs a name, one of {known}')
  name = keywords.pop('name')
  function = find(folder, name)
  _check_keywords(f'{_path(folder)}/{name}', function, keywords, set(given))
  for key, part in PARTS.items():
    if isinstance(keywords.get(key), Mapping):
      inner, given = (given, {}) if part == folder else ({}, given)
      keywords[key] = make(part, keywords[key], **inner)
  return function(**keywords, **given)


def describe(folder: str, spec: Mapping[str, Any]) -> str:
  """All that a component computes, as text; where functions lie in memory is no part of it."""
  return re.sub(r' at 0x[0-9a-f]+', '', repr(make(folder, spec)))


def _path(folder: str) -> str:
  return folder.replace('.', '/')


def _check_keywords(
  component: str, function: Callable, keywords: Mapping[str, Any], given: set[str]
) -> None:
  """Raises UserError unless the function takes these keywords and needs no others."""
  parameters = inspect.signature(function).parameters.values()
  if any(p.kind is p.VAR_KEYWORD for p in parameters):
    return
  for key in sorted(keywords.keys() - {p.name for p in parameters}):
    raise unknown(f'keyword of {component}', key, {p.name for p in parameters} - given)
  for p in parameters:
    if p.default is REQUIRED and p.name not in {*keywords, *given}:
      raise UserError(f'{component} needs {p.name}: its spec has no {p.name}=...')
    # What may be left open is None by default; elsewhere it would be met much later, in a sum.
    if p.default is not None and keywords.get(p.name, p) is None:
      default = '' if p.default is REQUIRED else f', or leave it out: it is then {p.default!r}'
      raise UserError(
        f'{component} needs {p.name}: it is None, and no weights (config.init_from) fill it in'
        f'\ngive it a value{default}'
      )
