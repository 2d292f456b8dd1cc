"""The file that --output names."""

import pytest

from vitlab.errors import UserError
from vitlab.predict.output import open_output


def test_a_file_is_replaced_and_none_takes_what_is_written(tmp_path):
  path = tmp_path / 'lines.txt'
  path.write_text('longer than before')
  for name in (str(path), ''):
    with open_output(name) as file:
      file.write('é\n')
  assert path.read_bytes() == 'é\n'.encode()


def test_what_cannot_be_written_is_said(tmp_path):
  with pytest.raises(UserError, match=r'--output=.*: Is a directory: choose another file'):
    open_output(str(tmp_path))
