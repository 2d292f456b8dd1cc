"""The names of tensors before a table sees them: renamed, and out of what a model was wrapped in.

`torch.nn.DataParallel` puts 'module.' before every name, `torch.compile` '_orig_mod.', an own class
'model.' or 'net.'. What all names begin with says nothing and is left out. Where only some begin
with it, somebody has to choose: there the error holds the `rename` that does.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from vitlab.errors import UserError


def renamed(tensors: Mapping[str, Any], rename: Mapping[str, str]) -> dict[str, Any]:
  """Tensors by other names: regex -> replacement, in order; one renamed to '' is dropped.

  Raises:
    UserError: two of them get the same name, or one of the regexes is none.
  """
  result: dict[str, Any] = {}
  for old, tensor in tensors.items():
    new = substituted(old, rename)
    if new in result:
      raise UserError(f'rename gives two tensors the name {new!r}: one of them was {old!r}')
    if new:
      result[new] = tensor
  return result


def substituted(name: str, rename: Mapping[str, str]) -> str:
  """A name after all replacements, regex -> replacement, in order."""
  for pattern, replacement in rename.items():
    try:
      name = re.sub(pattern, replacement, name)
    except re.error as error:
      raise UserError(f'rename: {pattern!r} is no regular expression: {error}') from error
  return name


def unwrapped(tensors: Mapping[str, Any], signs: Iterable[str]) -> Mapping[str, Any]:
  """The tensors without the modules that all of them lie in and no format knows.

  Args:
    tensors: Name -> tensor.
    signs: Regexes of names by which formats are known (`Format.sign`).
  """
  signs = [sign for sign in signs if sign]
  while not any(re.match(sign, name) for sign in signs for name in tensors):
    firsts = {name.partition('.')[0] for name in tensors}
    if len(firsts) != 1 or any('.' not in name for name in tensors):
      break
    tensors = {name.partition('.')[2]: tensor for name, tensor in tensors.items()}
  return tensors


def suggestion(path: str, names: Iterable[str], signs: Iterable[str]) -> str:
  """The `rename` with which a part of these weights would be known; '' if there is none.

  Args:
    path: Where they were found.
    names: Of the tensors.
    signs: Regexes of names by which the wanted formats are known.
  """
  names, signs = list(names), [sign for sign in signs if sign]
  if any(re.match(sign, name) for sign in signs for name in names):
    return ''
  below = [re.compile(rf'((?:[^.]+\.)+?)(?:{sign})') for sign in signs]
  found = {match[1] for name in names for sign in below if (match := sign.match(name))}
  # The outermost: vit.embeddings stays what it is called below model.
  found = {a for a in found if not any(a != b and a.startswith(b) for b in found)}
  if not found:
    return ''
  prefix = re.escape(min(found, key=lambda found: ('ema' in found, len(found), found)))
  rename = {f'^{prefix}': ''}
  if not all(re.match(prefix, name) for name in names):  # the others are dropped
    rename = {f'^(?!{prefix}).*': ''} | rename
  return (
    f'\nthey lie below {" and ".join(map(repr, sorted(found)))}: '
    f'config.init_from = dict(path={path!r}, rename={rename!r})'
  )
