"""Text is read as it lies there: files, folders, archives, and what cannot be read is named."""

import gzip
import io
import tarfile
import zipfile

import pytest

from vitlab.data.texts import reading
from vitlab.errors import UserError

BOOK = 'Ünï\r\ncödé 日本\n\n🙂 end'


def read(path, **words):
  splits = reading.open_texts(str(path), **words).splits()
  return {name: [''.join(text.blocks()) for text in texts] for name, texts in splits.items()}


def put(folder, **files):
  for name, content in files.items():
    path = folder / name.replace('__', '/').replace('_dot_', '.')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return folder


def packed(folder, kind):
  path = folder.with_name(f'{folder.name}.{kind}')
  files = [file for file in sorted(folder.rglob('*')) if file.is_file()]
  if kind == 'zip':
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
      for file in files:
        archive.write(file, file.relative_to(folder))
  else:
    with tarfile.open(path, f'w:{kind.partition(".")[2]}') as archive:
      for file in files:
        archive.add(file, file.relative_to(folder))
  return path


@pytest.mark.parametrize('block', [1, 3, 2**22])
@pytest.mark.parametrize('name', ['book.txt', 'book', 'book.txt.gz', 'BOOK.GZ'])
def test_a_file_is_kept_to_the_letter(tmp_path, monkeypatch, name, block):
  monkeypatch.setattr(reading, '_BLOCK', block)
  content = BOOK.encode()
  (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith('.gz') else content)
  assert read(tmp_path / name) == {'': [BOOK]}


def test_a_byte_order_mark_is_no_text(tmp_path):
  (tmp_path / 'x.txt').write_bytes(b'\xef\xbb\xbfa\xef\xbb\xbf')
  assert read(tmp_path / 'x.txt') == {'': ['a\ufeff']}


@pytest.mark.parametrize('kind', ['', 'zip', 'tar', 'tar.gz', 'tar.xz'])
def test_splits_are_files_or_folders(tmp_path, kind, caplog):
  folder = put(
    tmp_path / 'corpus',
    wiki_dot_train_dot_tokens='a',
    validation__1_dot_txt='b',
    validation__2_dot_txt_dot_gz=gzip.compress(b'c'),
    test_dot_txt='d',
    other_dot_txt='e',
    picture_dot_jpg='f',
  )
  path = packed(folder, kind) if kind else folder
  assert read(path) == dict(train=['a'], val=['b', 'c'], test=['d'])
  assert '2 files left out: 1 .jpg, 1 beside the splits' in caplog.text


def test_without_names_of_splits_all_files_are_one(tmp_path):
  assert read(put(tmp_path, b_dot_txt='b', a_dot_txt='a', c__d_dot_md='c')) == {'': ['a', 'b', 'c']}


def test_the_digest_is_of_the_content_and_not_of_the_place(tmp_path):
  folders = [
    put(tmp_path / name, a_dot_txt='a', b_dot_txt=last) for name, last in ('xb', 'yb', 'zc')
  ]
  digests = [reading.open_texts(str(folder)).digest for folder in folders]
  assert digests[0] == digests[1] != digests[2]
  files = [reading.open_texts(str(folder / 'b.txt')).digest for folder in folders]
  assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
  'name, content, message',
  [
    ('x.txt', b'ab\ncd\xe9f\n', r'x.txt: line 2 is not UTF-8 \(byte 0xe9\)'),
    ('x.txt', b'a\n\nb\xf0\x9f', r'x.txt: line 3 is not UTF-8 \(byte 0xf0\)'),
    ('x.txt.gz', gzip.compress(b'abc' * 99, mtime=0)[:-9], 'x.txt.gz is damaged'),
    ('x.txt.gz', b'abc', 'x.txt.gz is damaged'),
  ],
)
@pytest.mark.parametrize('block', [2, 2**22])
def test_what_cannot_be_read_is_named(tmp_path, monkeypatch, name, content, message, block):
  monkeypatch.setattr(reading, '_BLOCK', block)
  (tmp_path / name).write_bytes(content)
  with pytest.raises(UserError, match=message):
    read(tmp_path / name)


def test_no_text_at_all(tmp_path):
  put(tmp_path, a_dot_jpg='a')
  for path, message in (
    ('', 'data.path is empty'),
    (str(tmp_path / 'none.txt'), 'does not exist'),
    (str(tmp_path), r'holds no text: its files must end in .txt.*\n1 file left out: 1 .jpg'),
    ('tfds:nothing', 'not prepared'),
  ):
    with pytest.raises(UserError, match=message):
      read(path, data_dir=str(tmp_path))
  with pytest.raises(UserError, match='is not UTF-8'):
    reading.decode('x', b'\xff')
  assert reading.decode('x', io.BytesIO(b'ab').getvalue()) == 'ab'
