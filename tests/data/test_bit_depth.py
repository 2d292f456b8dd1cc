"""Grey of more than 8 bits: scaled by what the file declares, else said or refused."""

import struct
import zlib

import numpy as np
import pytest
from _helpers.pictures import encoded, noise
from PIL import TiffImagePlugin

from vitlab.data import bit_depth
from vitlab.data.pictures import ImageError, preprocess

TWELVE = noise(6, 5, high=2**12, dtype=np.uint16)
TWELVE[0, 0] = 4095
SCALED = (TWELVE.astype(int) * 255 // 4095).astype(np.uint8)
BLACK = (TWELVE // 257).astype(np.uint8)


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
  monkeypatch.setattr(bit_depth, '_said', set())


def grey(picture, name=''):
  return preprocess(picture, image_size=(6, 5), channels=1, name=name)[..., 0]


def png(values, bits):
  """A PNG with an sBIT chunk, which Pillow does not write."""
  data, chunk = encoded(values), b'sBIT' + bytes([bits])
  at = 8 + 25  # behind IHDR
  block = struct.pack('>I', 1) + chunk + struct.pack('>I', zlib.crc32(chunk))
  return data[:at] + block + data[at:]


def tiff(values, **tags):
  directory = TiffImagePlugin.ImageFileDirectory_v2()
  for tag, value in tags.items():
    directory[int(tag[1:])] = value
  return encoded(values, 'TIFF', tiffinfo=directory)


def twelve_bit_tiff():
  """Two values in three bytes, as microscopes write them; Pillow reads such files only."""
  rows = b''
  for row in TWELVE:
    bits = ''.join(f'{value:012b}' for value in row)
    bits += '0' * (-len(bits) % 8)
    rows += int(bits, 2).to_bytes(len(bits) // 8, 'big')
  entries = [(256, 5), (257, 6), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 6)]
  entries.append((279, len(rows)))
  start = 8 + len(rows)
  table = struct.pack('<H', len(entries))
  for tag, value in entries:
    table += struct.pack('<HHII', tag, 4, 1, value)
  return b'II*\x00' + struct.pack('<I', start) + rows + table + struct.pack('<I', 0)


@pytest.mark.parametrize(
  'picture',
  [
    png(TWELVE, 12),
    twelve_bit_tiff(),
    tiff(TWELVE, _281=4095),
    tiff(TWELVE.astype(np.int32), _281=4095),
    b'P5 5 6 4095\n' + TWELVE.astype('>u2').tobytes(),
  ],
  ids=['png', 'tiff bits', 'tiff range', '32 bits', 'pgm'],
)
def test_declared_ranges(picture, caplog):
  assert np.abs(grey(picture).astype(int) - SCALED).max() <= 1
  assert not caplog.messages


def test_a_turned_picture_keeps_its_range():
  turned = grey(tiff(TWELVE, _281=4095, _274=3))
  np.testing.assert_array_equal(turned, SCALED[::-1, ::-1])


def test_scaled_values_stay_whatever_their_significant_bits():
  full = TWELVE << 4 | TWELVE >> 8
  np.testing.assert_array_equal(grey(png(full, 12)), full // 257)
  dark = full // 4096 * 16  # a night of a 12-bit camera, in its proper scale
  np.testing.assert_array_equal(grey(png(dark, 12)), dark // 257)


def test_the_largest_value_that_there_is_is_no_range():
  np.testing.assert_array_equal(grey(tiff(TWELVE, _281=3000)), BLACK)


@pytest.mark.parametrize('kind', ['PNG', 'TIFF'])
def test_dark_pictures_are_named_once(kind, caplog):
  for name in ('scan/a', 'scan/b'):
    np.testing.assert_array_equal(grey(encoded(TWELVE, kind), name), BLACK)
  (line,) = caplog.messages
  assert line.startswith('scan/a: the largest of its 16-bit values is about 4095 of 65535')
  assert 'nearly black' in line and 'scale the values' in line


def test_dark_colours_are_named_too(caplog):
  """Pillow itself halves 16-bit colours."""
  rows = np.repeat(TWELVE[..., None], 3, axis=2).astype('>u2')
  data = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
  parts = (b'IHDR', struct.pack('>IIBBBBB', 5, 6, 16, 2, 0, 0, 0)), (b'IDAT', data), (b'IEND', b'')
  picture = b'\x89PNG\r\n\x1a\n' + b''.join(
    struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
    for kind, body in parts
  )
  assert preprocess(picture, image_size=(6, 5)).max() == 15
  assert 'the largest of its 16-bit values is about 3840 of 65535' in caplog.messages[0]


def test_the_path_of_a_file_is_its_name(tmp_path, caplog):
  path = tmp_path / 'scan.png'
  path.write_bytes(encoded(TWELVE))
  grey(path)
  assert str(path) in caplog.messages[0]


def test_bright_and_black_pictures_are_nothing_to_speak_of(caplog):
  grey(encoded(TWELVE * 16))
  grey(encoded(np.zeros((6, 5), np.uint16)))
  assert not caplog.messages


@pytest.mark.parametrize('dtype', [np.int32, np.float32])
def test_what_declares_no_range_is_refused(dtype):
  with pytest.raises(ImageError, match='no defined 8-bit range'):
    grey(encoded(TWELVE.astype(dtype), 'TIFF'))
