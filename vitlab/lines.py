"""Text from outside as a part of one line: what would break a table, a terminal or a page."""

import json
import re
from collections.abc import Container, Sequence
from typing import Any

# Control characters (tabs, line ends, escape sequences), the other two line ends of Unicode, halves
# of pairs (which no encoding can write), and what turns the direction of the text around it.
_CONTROL = r'\x00-\x1f\x7f-\x9f\u2028\u2029'
_UNSEEN = re.compile(rf'[{_CONTROL}\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_BREAKS = re.compile(rf'[{_CONTROL}]')


def visible(text: str) -> str:
  """A name with everything that would not be seen in it written as Python does: 'a\\tb'."""
  return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(text: str) -> str:
  """A sentence with a space for each tab, line end and other control character."""
  return _BREAKS.sub(' ', text)


def json_line(value: Any) -> str:
  """A line of a file of JSON: letters as they are, and nothing that anybody takes for its end."""
  text = json.dumps(value, ensure_ascii=False)  # which escapes the first 32 alone
  return _UNSEEN.sub(lambda found: f'\\u{ord(found[0]):04x}', text) + '\n'


def aligned(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> str:
  """A table as lines.

  Args:
    rows: Of cells, the head first.
    right: Numbers of the columns that are aligned at the right.
  """
  rows = [[visible(cell) for cell in row] for row in rows]
  widths = [max(map(len, column)) for column in zip(*rows)]
  pad = lambda i, cell: cell.rjust(widths[i]) if i in right else cell.ljust(widths[i])  # noqa: E731
  return '\n'.join('  '.join(pad(i, x) for i, x in enumerate(row)).rstrip() for row in rows)
