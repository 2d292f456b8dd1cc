"""Lines of text for --mode=predict, and the lines of JSON that it writes."""

import json
import pathlib
from typing import Any


def lines_in(folder: pathlib.Path, *lines: str) -> list[str]:
  """The arguments of --mode=predict for a file of these lines."""
  path = folder / 'lines.txt'
  path.write_text(''.join(f'{line}\n' for line in lines))
  return [str(path)]


def rows_of(path: pathlib.Path) -> list[Any]:
  """What stands in each line of a file."""
  return [json.loads(line) for line in path.read_text().splitlines()]
