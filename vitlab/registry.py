"""The folder is the registry: `dict(name='vit', **kw)` means `vitlab.models.vit.make(**kw)`.

A component is a file with a function `make`; its keyword arguments are its schema. To add a model
is to add a file.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

from vitlab.errors import UserError, unknown


def names(folder: str) -> list[str]:
  """The component names in `vitlab/<folder>/`: its files, except those that start with `_`."""
  package = importlib.import_module(f'vitlab.{folder}')
  return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != '_')


def find(folder: str, name: str) -> Callable[..., Any]:
  """The `make` of a component.

  Raises:
    UserError: no such component; names those that exist.
  """
  if name not in names(folder):
    raise unknown(f'name in vitlab/{folder}', str(name), names(folder))
  return importlib.import_module(f'vitlab.{folder}.{name}').make


def make(folder: str, spec: Mapping[str, Any], **given: Any) -> Any:
  """Builds a component from its spec (a config node) and what the caller passes beside it.

  Raises:
    UserError: the spec has no name, the name or one of its keywords does not exist.
  """
  keywords = dict(spec)
  if 'name' not in keywords:
    raise UserError(f'a spec for vitlab/{folder} needs a name, one of {", ".join(names(folder))}')
  name = keywords.pop('name')
  function = find(folder, name)
  parameters = inspect.signature(function).parameters
  if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
    for key in keywords:
      if key not in parameters:
        raise unknown(f'keyword of {folder}/{name}', key, set(parameters) - set(given))
  return function(**keywords, **given)
