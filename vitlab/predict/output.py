"""The file of --output, beside what --mode=predict prints."""

import os
from typing import TextIO

from vitlab.errors import UserError


def open_output(path: str) -> TextIO:
  """The file, opened before any work is done, so that a wrong path fails early.

  Args:
    path: Path of the file; '' for none: what is written then goes nowhere.

  Raises:
    UserError: it cannot be written.
  """
  try:
    return open(path or os.devnull, 'w', encoding='utf-8')
  except OSError as error:
    raise UserError(f'--output={path}: {error.strerror}: choose another file') from error
