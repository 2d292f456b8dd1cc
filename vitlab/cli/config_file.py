"""From `--config=path.py:arg --config.a.b=value` to a checked config.

A config file is Python: its `get_config(arg=None)` returns `vitlab.config.base()` with values
filled in. Overrides come from the command line; their types come from the values they replace.
Everything a person can get wrong here is answered in one line, before a device is looked for. A key
that the config does not say is taken where its component has such a keyword, with that default.

`ml_collections.config_flags` is not used: it lets a JSON value replace a whole group despite the
lock, cannot override a key that holds None, and answers a typo with a 54-line traceback.
"""

import ast
import importlib.util
import math
import pathlib
import re
import types
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from vitlab import config as config_lib
from vitlab import registry
from vitlab.errors import UserError, unknown

# What a config file defines, and where to see how.
FUNCTIONS = {
  'get_config': '(arg=None): see configs/ for some',
  'sweep': '(add): see configs/vit_digits.py for one, or name another file: --sweep=FILE.py',
}

FOLDERS = {'data': 'data.sets', 'model': 'models', 'task': 'tasks'}  # of components
PARTS = ('task.search',)  # keys that hold a spec, which a config may leave out


def load(spec: str, overrides: Sequence[str] = ()) -> ConfigDict:
  """The config of `path.py` or `path.py:arg`, with overrides such as '--config.optim.name=lion'.

  Raises:
    UserError: no such file; it cannot be imported, has no `get_config`, or returns something that
      is not a config; an override names a key that does not exist or a value of another type.
  """
  path, _, arg = spec.partition(':')
  config = call(path, 'get_config', *([arg] if arg else []))
  _check_keys(path, config)
  override(config, overrides)
  return config.lock()


def call(path: str, name: str, *arguments: Any) -> Any:
  """What a function of a config file returns.

  Args:
    path: The file.
    name: One of `FUNCTIONS`.
    arguments: Of the function.

  Raises:
    UserError: no such file, it has no such function, or an error comes out of either.
  """
  function = _import(path, name)
  try:
    return function(*arguments)
  except UserError:
    raise
  except Exception as error:
    raise _inside(path, error) from error


def override(config: ConfigDict, overrides: Sequence[str]) -> None:
  """Sets keys of a config in place.

  Args:
    config: Changed in place; gains no key but keywords of its components.
    overrides: '--config.a.b=value', or '--config.a.b' and '--noconfig.a.b' for booleans. A part
      of `PARTS` is given as a whole, by name: '--config.task.search=beam,beams=8'.

  Raises:
    UserError: as `load`.
  """
  for text in overrides:
    flag, equals, value = text.partition('=')
    negated = flag.startswith('--no')
    key = flag.partition('config.')[2]
    *parents, name = key.split('.')
    if key in PARTS and value and not negated:
      with config.unlocked():
        config[parents[0]][name] = _part(value)
      continue
    node: Any = config
    for parent in parents:
      node = node.get(parent) if isinstance(node, ConfigDict) else None
    known = node if isinstance(node, ConfigDict) and name in node else _keywords(node, parents)
    if name not in known:
      raise _unknown_key(config, key, known)
    default = known[name]
    if isinstance(default, bool) and not equals:
      value = 'false' if negated else 'true'
    elif negated or not equals:
      raise UserError(f'{flag} needs a value: --config.{key}=...')
    with config.unlocked():
      node[name] = _convert(key, value, default)


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
  """Separates overrides, `--config.a=1` or `--config.a 1`, from all other arguments.

  Raises:
    UserError: an override stands before the `--config` that it changes.
  """
  others: list[str] = []
  overrides: list[str] = []
  arguments = list(arguments)
  while arguments:
    argument = arguments.pop(0)
    match = re.fullmatch(r'--?((?:no)?config\.[^=]+)(=.*)?', argument, re.DOTALL)
    if match is None:
      others.append(argument)
      if argument.lstrip('-') == 'config':
        others += arguments[:1]
        del arguments[:1]
      continue
    text = '--' + match[1] + (match[2] or '')
    if match[2] is None and arguments and not arguments[0].startswith('-'):
      text += '=' + arguments.pop(0)
    overrides.append(text)
    if any(later.lstrip('-').split('=')[0] == 'config' for later in arguments):
      raise UserError(f'{text} stands before --config: put --config=... first, then its changes')
  return others, overrides


def describe_all(folder: str = 'configs') -> dict[str, str]:
  """The configs in a folder, each with the first line of its docstring (read, not run)."""
  described = {}
  for path in sorted(pathlib.Path(folder).glob('[!.]*.py')):
    try:
      text = ast.get_docstring(ast.parse(path.read_text())) or ''
    except (SyntaxError, UnicodeDecodeError):
      text = '(cannot be read)'
    described[str(path)] = text.partition('\n')[0]
  return described


def run_name(spec: str) -> str:
  """The default folder below runs/ of `configs/vit.py:variant=S/16`: 'vit-variant=S_16'."""
  path, _, arg = spec.partition(':')
  name = pathlib.Path(path).stem
  arg = re.sub(r'[^\w.,=+-]+', '_', arg).strip('_.')
  return f'{name}-{arg}' if arg else name


def _import(path: str, name: str) -> types.FunctionType:
  file = pathlib.Path(path)
  known = list(describe_all())
  if not path:
    raise UserError(f'--config needs a file; possible are {", ".join(known)}')
  if file.is_dir():
    raise UserError(f'config {path!r} is a folder: name one file in it, for example {known[:1]}')
  if not file.is_file():
    raise unknown('config file', path, known)
  module_spec = importlib.util.spec_from_file_location(f'config_{file.stem}', file)
  if module_spec is None or module_spec.loader is None:
    raise UserError(f'config {path!r} is not a Python file: its name must end in .py')
  module = importlib.util.module_from_spec(module_spec)
  try:
    module_spec.loader.exec_module(module)
  except UserError:
    raise
  except Exception as error:
    raise _inside(path, error) from error
  if not callable(getattr(module, name, None)):
    raise UserError(f'config {path!r} has no function {name}{FUNCTIONS[name]}')
  return getattr(module, name)


def _inside(path: str, error: Exception) -> UserError:
  """Where in the config file it went wrong, in one line."""
  line = error.lineno if isinstance(error, SyntaxError) else None
  traceback = error.__traceback__
  while traceback is not None:
    if traceback.tb_frame.f_code.co_filename == str(pathlib.Path(path)):
      line = traceback.tb_lineno
    traceback = traceback.tb_next
  message = error.msg if isinstance(error, SyntaxError) else str(error).partition('\n')[0]
  where = f'config {path!r}' + (f', line {line}' if line else '')
  return UserError(f'{where}: {type(error).__name__}: {message} (--debug shows the traceback)')


def _check_keys(path: str, config: Any) -> None:
  if not isinstance(config, ConfigDict):
    given = type(config).__name__
    raise UserError(f'get_config of {path!r} returns {given}, not a ConfigDict: return its config')
  base = config_lib.base()
  for key in config:
    if key not in base:
      raise unknown(f'key in config {path!r}', key, base)
  missing = list(_missing(config, base))
  if missing:
    start = 'start from vitlab.config.base()'
    raise UserError(f'config {path!r} lacks the keys {", ".join(missing)}, or has None: {start}')


def _missing(config: ConfigDict, base: ConfigDict, prefix: str = '') -> Iterator[str]:
  """The keys that have a value in the one at the bottom, or are a group there, and not here."""
  for key, default in base.items():
    is_group = isinstance(default, ConfigDict)
    if key not in config:
      if prefix != 'mesh.':  # of which an axis may be left out
        yield prefix + key
    elif is_group and isinstance(config[key], ConfigDict):
      yield from _missing(config[key], default, f'{prefix}{key}.')
    elif is_group or (config[key] is None and default is not None):
      yield prefix + key


def _keywords(node: Any, path: Sequence[str]) -> dict[str, Any]:
  """The keywords, with their defaults, of the component at a place of a config."""
  folder = FOLDERS.get('.'.join(path)) or registry.PARTS.get(path[-1] if path else '')
  folder = 'evaluators' if path[:-1] == ['evaluators'] else folder
  if (
    not folder or not isinstance(node, ConfigDict) or node.get('name') not in registry.names(folder)
  ):
    return {}
  known = registry.keywords(folder, node.name).items()
  return {key: default for key, default in known if default is not registry.REQUIRED}


def _unknown_key(config: ConfigDict, key: str, keywords: Collection[str] = ()) -> UserError:
  """Names the same key elsewhere, else the near ones and all that stand where it was looked for."""
  parents, _, last = key.rpartition('.')
  same = [name for name in _leaves(config) if name.rpartition('.')[2] == last]
  if same:
    return UserError(f'unknown config key {key!r}: did you mean {" or ".join(same)}?')
  node, group = config, 'config'
  for parent in filter(None, parents.split('.')):
    if parent not in node:
      return unknown(f'key of {group}', parent, node)
    node, group = node[parent], f'{group}.{parent}'
    if not isinstance(node, ConfigDict):
      return UserError(f'unknown config key {key!r}: {group} is one value, not a group')
  return unknown(f'key of {group}', last, {*node, *keywords})


def _leaves(config: ConfigDict, prefix: str = '') -> Iterator[str]:
  for key, value in config.items():
    if isinstance(value, ConfigDict):
      yield from _leaves(value, f'{prefix}{key}.')
    else:
      yield prefix + key


def _part(text: str) -> dict[str, Any]:
  """The spec 'name,option=value,switch' as a dict."""
  name, *options = text.split(',')
  pairs = [option.partition('=')[::2] for option in options]
  return dict(name=name) | {key: _literal(value) if value else True for key, value in pairs}


def _literal(text: str) -> Any:
  try:
    return ast.literal_eval(text.capitalize() if text in ('true', 'false') else text)
  except (ValueError, SyntaxError):
    return text


def _convert(key: str, text: str, default: Any) -> Any:
  """Reads `text` as the type of the value that it replaces."""
  flag = f'--config.{key}={text}'
  if isinstance(default, ConfigDict):
    keys = ', '.join(f'{key}.{name}' for name in default)
    raise UserError(f'{flag}: {key!r} is a group, set its keys one by one: {keys or "none yet"}')
  if isinstance(default, str):
    return text
  value = text if text in ('true', 'false') else _literal(text)
  if default is None:
    return value
  if isinstance(default, bool):
    value = {'true': True, 'false': False, '1': True, '0': False}.get(text.lower(), value)
  elif isinstance(default, float):
    value = _float(text, value)
    if isinstance(value, float) and not math.isfinite(value):
      raise UserError(f'{flag}: expected a finite number, as the default {default}')
  elif isinstance(default, tuple):
    value = tuple(value) if isinstance(value, (list, tuple)) else (value,)
  if type(value) is not type(default):
    kind = type(default).__name__
    raise UserError(f'{flag}: expected a value of type {kind}, as the default {default!r}')
  return value


def _float(text: str, value: Any) -> Any:
  try:
    return float(text)
  except ValueError:
    return value
