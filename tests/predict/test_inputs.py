"""Files and folders of pictures, and lines of text, as --mode=predict is given them."""

import gzip
import io
import sys

import pytest

from vitlab.errors import UserError
from vitlab.predict import inputs


def test_images_are_found_as_in_data_sets(tmp_path, caplog):
  """Any picture that Pillow reads; clutter is none; what is no picture is counted; no circles."""
  names = ['a.jfif', 'b/c.PNG', 'd.webp']
  others = ['._a.png', 'b/.ipynb_checkpoints/c.png', '__MACOSX/a.png', 'Thumbs.db']
  for name in [*names, *others, 'e.txt', 'b/f.txt', 'README']:
    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / name).write_bytes(b'')
  (tmp_path / 'b' / 'up').symlink_to('..')
  assert inputs.find_images([str(tmp_path)]) == [str(tmp_path / name) for name in names]
  assert '3 files left out: 2 .txt, 1 without an ending' in caplog.text
  hidden = str(tmp_path / '._a.png')
  assert inputs.find_images([hidden]) == [hidden]  # asked for by name


@pytest.mark.parametrize('name, says', [('none.png', 'no file or folder'), ('.', 'no images in')])
def test_paths_without_images_are_refused(name, says, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError, match=says):
    inputs.find_images([name])


def test_files_are_read_one_after_the_other(tmp_path, monkeypatch):
  (tmp_path / 'one.txt').write_bytes('\ufeffa dog\r\n\nüber'.encode())
  (tmp_path / 'two.txt.gz').write_bytes(gzip.compress(b'a cat\n'))
  paths = [str(tmp_path / name) for name in ('one.txt', 'two.txt.gz')]
  assert inputs.read_lines(paths) == ['a dog', '', 'über', 'a cat']
  monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(b'from\nhere\n')))
  assert inputs.read_lines([]) == ['from', 'here']


@pytest.mark.parametrize(
  'content, named',
  [(b'a\nb\xe9\n', r'lines.txt: line 2 is not UTF-8 \(byte 0xe9\)'), (b'', 'no text')],
)
def test_text_that_cannot_be_read(tmp_path, content, named, monkeypatch):
  (tmp_path / 'lines.txt').write_bytes(content)
  with pytest.raises(UserError, match=named):
    inputs.read_lines([str(tmp_path / 'lines.txt')])
  monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(b'a\nb\n\xff\n')))
  with pytest.raises(UserError, match='^standard input: line 3 is not UTF-8'):
    inputs.read_lines(['-'])
  with pytest.raises(UserError, match='No such file'):
    inputs.read_lines([str(tmp_path / 'nowhere.txt')])
