"""The one exception for things a user gave that cannot be used."""

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
  """Something the user gave cannot be used.

  The message says what was given, what is possible and what to do, in at most three lines. The
  launcher prints it without a traceback and exits with code 2.
  """


def unknown(what: str, given: str, possible: Iterable[str]) -> UserError:
  """The error for a name that does not exist: the near ones first, else all of them."""
  possible = sorted(possible)
  near = difflib.get_close_matches(given, possible, n=3, cutoff=0.5)
  hint = f'did you mean {" or ".join(near)}? ' if near else ''
  names = f'possible are {", ".join(possible)}' if possible else 'it has none'
  return UserError(f'unknown {what} {given!r}: {hint}{names}')


def listed(names: Sequence[object], most: int = 6) -> str:
  """The first of a list as Python writes them, and how many more there are."""
  more = f' and {len(names) - most:,} more' if len(names) > most else ''
  shown = [repr(str(name) if isinstance(name, str) else name) for name in names[:most]]  # np.str_
  return ', '.join(shown) + more
