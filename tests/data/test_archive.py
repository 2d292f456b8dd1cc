"""Files out of folders and archives: the same bytes by random access; damage is never silent."""

import concurrent.futures
import io
import os
import pathlib
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from _helpers.trees import KINDS, write

from vitlab.data import archive as archive_lib
from vitlab.data.pictures import ImageError
from vitlab.errors import UserError

FILES = {
  f'{folder}/{number:02}.bin': np.random.default_rng(number).bytes(number * 97)
  for folder in ('a', 'b/c', 'ü')
  for number in range(12)
} | {'top.txt': b'', 'zeros': bytes(5000)}


def contents(tree):
  return {name: tree(number) for number, name in enumerate(tree.names)}


@pytest.mark.parametrize('kind', KINDS)
def test_holds_the_files(tmp_path, kind):
  tree = archive_lib.open_tree(write(tmp_path, FILES, kind))
  assert contents(tree) == FILES and list(tree.names) == sorted(FILES)
  assert contents(pickle.loads(pickle.dumps(tree))) == FILES


@pytest.mark.parametrize('kind', KINDS)
def test_empty_folders_are_listed(tmp_path, kind):
  tree = archive_lib.open_tree(write(tmp_path, FILES | {'empty/': b''}, kind))
  assert list(tree.names) == sorted([*FILES, 'empty/'])


CLUTTER = ['__MACOSX/a/._00.bin', 'a/._00.bin', 'a/.DS_Store', 'a/Thumbs.db', 'b/c/desktop.ini']
CLUTTER += ['.ipynb_checkpoints/a.txt', 'a/.ipynb_checkpoints/b', '.git/c/d', '.hidden/']


@pytest.mark.parametrize('kind', KINDS)
def test_clutter_belongs_to_no_tree(tmp_path, kind):
  files = FILES | dict.fromkeys(CLUTTER, b'') | {'empty/.gitkeep': b'', 'x/y/Thumbs.db': b''}
  tree = archive_lib.open_tree(write(tmp_path, files, kind))
  assert list(tree.names) == sorted([*FILES, 'empty/', 'x/y/'])
  assert {name: tree(i) for i, name in enumerate(tree.names) if name in FILES} == FILES


def test_folders_that_hold_something_are_not_listed(tmp_path):
  files = {'a/': b'', 'a/b/': b'', 'a/b/c': b'1', 'd/': b''}
  for kind in ('zip', 'tar'):
    assert list(archive_lib.open_tree(write(tmp_path, files, kind)).names) == ['a/b/c', 'd/']


def test_backslashes_in_a_zip(tmp_path):
  path = tmp_path / 'windows.zip'
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('a\\', b'')
    archive.writestr('a\\b\\c.png', b'1')
  tree = archive_lib.open_tree(path)
  assert contents(tree) == {'a/b/c.png': b'1'}


def test_links_are_followed_but_not_in_circles(tmp_path):
  for name in ('a', 'b', 'c/d'):
    (tmp_path / 'root' / name).mkdir(parents=True)
  for name in ('a/1', 'c/d/2'):
    (tmp_path / 'root' / name).write_text(name)
  links = {'c/d/up': '..', 'a/root': '../../root', 'a/out': '../..', 'a/b': '../b', 'b/a': '../a'}
  for name, to in links.items():
    (tmp_path / 'root' / name).symlink_to(to, target_is_directory=True)
  (tmp_path / 'root' / 'e').symlink_to('c/d')
  (tmp_path / 'root' / 'f').symlink_to('a/1')
  tree = archive_lib.open_tree(tmp_path / 'root')
  files = {name for name in tree.names if not name.endswith('/')}
  assert files == {'a/1', 'b/a/1', 'c/d/2', 'e/2', 'f'}


@pytest.mark.parametrize('kind', ['tar', 'tar.gz'])
def test_links_in_a_tar_are_the_files_that_they_name(tmp_path, kind):
  path = tmp_path / f'links.{kind}'
  with tarfile.open(path, f'w:{kind[4:]}') as archive:
    for name, link, to in [
      ('./a/1', tarfile.REGTYPE, ''),
      ('./a/2', tarfile.LNKTYPE, './a/1'),
      ('./b/3', tarfile.SYMTYPE, '../a/1'),
      ('./b/4', tarfile.SYMTYPE, '../gone'),
    ]:
      member = tarfile.TarInfo(name)
      member.type, member.linkname, member.size = link, to, 0 if to else 2
      archive.addfile(member, io.BytesIO(b'12'))
  assert contents(archive_lib.open_tree(path)) == {'a/1': b'12', 'a/2': b'12', 'b/3': b'12'}


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
  def denied(path):
    raise PermissionError(13, 'Permission denied', path)

  monkeypatch.setattr(os, 'scandir', denied)
  with pytest.raises(UserError, match='cannot be read: Permission denied'):
    archive_lib.open_tree(tmp_path)


@pytest.mark.parametrize('kind', KINDS)
def test_threads_may_read_at_once(tmp_path, kind):
  tree = archive_lib.open_tree(write(tmp_path, FILES, kind))
  numbers = np.random.default_rng(0).integers(0, len(FILES), 500).tolist()
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    read = list(pool.map(tree, numbers))
  assert read == [FILES[tree.names[number]] for number in numbers]


def test_names_without_the_dot_of_tar(tmp_path):
  tree = archive_lib.open_tree(write(tmp_path, {'./a/b': b'1'}, 'tar'))
  assert list(tree.names) == ['a/b']


@pytest.mark.parametrize('kind', ['zip', 'stored.zip'])
def test_no_bit_flips_in_a_zip_unnoticed(tmp_path, kind):
  path = pathlib.Path(write(tmp_path, {'a': FILES['a/11.bin']}, kind))
  tree = archive_lib.open_tree(path)
  content = path.read_bytes()
  for position in range(60, 1000, 47):  # inside of the compressed file
    damaged = bytearray(content)
    damaged[position] ^= 1 << position % 8
    path.write_bytes(damaged)
    with pytest.raises(ImageError, match='damaged in the archive'):
      tree(0)


@pytest.mark.parametrize('kind', ['zip', 'tar', 'tar.gz', 'tar.xz'])
@pytest.mark.parametrize('fraction', [0.1, 0.5, 0.9])
def test_archives_cut_short_are_refused(tmp_path, kind, fraction):
  path = pathlib.Path(write(tmp_path, FILES, kind))
  content = path.read_bytes()
  length = int(fraction * len(content))
  for cut in (length, length // 512 * 512):  # a tar is cut between two files, too
    path.write_bytes(content[:cut])
    with pytest.raises(UserError, match='is damaged|is no archive'):
      archive_lib.open_tree(path)


@pytest.mark.parametrize(
  ('name', 'content', 'words'),
  [
    ('gone', None, 'does not exist: expected a folder or one of .zip'),
    ('a.txt', b'text', 'is no archive: expected a folder or one of .zip'),
    ('a.zip', b'PK\x03\x04 and no more', 'is no archive'),
    ('a.tar', b'', 'is no archive'),
  ],
)
def test_refuses_paths(tmp_path, name, content, words):
  if content is not None:
    (tmp_path / name).write_bytes(content)
  with pytest.raises(UserError, match=words):
    archive_lib.open_tree(tmp_path / name)


def test_refuses_encrypted_zips(tmp_path):
  path = pathlib.Path(write(tmp_path, {'a': b'1'}, 'zip'))
  content = bytearray(path.read_bytes())
  content[content.index(b'PK\x01\x02') + 8] |= 1  # the flag in the central directory
  path.write_bytes(content)
  with pytest.raises(UserError, match='a is encrypted'):
    archive_lib.open_tree(path)


def test_archives_in_a_folder_are_read_with_it(tmp_path):
  write(tmp_path, {'a.txt': b'a', 'deeper/': b''})
  for name, kind in (('one', 'zip'), ('two', 'tar')):
    path = pathlib.Path(write(tmp_path / 'x', {f'{name}/b.txt': name.encode()}, kind))
    path.rename(tmp_path / f'{name}.{kind}')
  tree = pickle.loads(pickle.dumps(archive_lib.open_trees(tmp_path)))
  found = {name: tree(n) for n, name in enumerate(tree.names) if name.endswith('.txt')}
  assert found == {'a.txt': b'a', 'one/b.txt': b'one', 'two/b.txt': b'two'}
  alone = archive_lib.open_trees(tmp_path / 'one.zip')
  assert list(alone.names) == ['one/b.txt'] and alone(0) == b'one'
