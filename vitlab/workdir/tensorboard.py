"""Entries of TensorBoard's event files: protocol buffers of scalars, framed with checksums.

The few fields that scalars need, written by hand: the libraries for it bring a thread that dies of
a full disk, or import torch where it is installed.
"""

import struct
import time
from collections.abc import Mapping

import numpy as np


def header() -> bytes:
  """The first entry of a file."""
  return _event(0, _field(3, b'brain.Event:2'))


def restart(step: int) -> bytes:
  """Lets TensorBoard drop what it has from this step on."""
  return _event(step, _field(7, b'\x08\x01'))  # SessionLog of status START


def scalars(step: int, values: Mapping[str, float]) -> bytes:
  """All values of a step."""
  with np.errstate(over='ignore'):  # what does not fit is infinite
    numbers = np.asarray(list(values.values()), '<f4')
  pairs = zip(values, numbers, strict=True)
  entries = (_field(1, name.encode()) + b'\x15' + x.tobytes() for name, x in pairs)
  return _event(step, _field(5, b''.join(_field(1, entry) for entry in entries)))


def _event(step: int, what: bytes) -> bytes:
  data = b'\x09' + struct.pack('<d', time.time()) + b'\x10' + _varint(step) + what
  length = struct.pack('<Q', len(data))
  return length + _masked_crc(length) + data + _masked_crc(data)


def _field(number: int, data: bytes) -> bytes:
  return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
  more = []
  while value > 127:
    more.append(value & 127 | 128)
    value >>= 7
  return bytes([*more, value])


def _reflected(byte: int) -> int:
  for _ in range(8):
    byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
  return byte


_TABLE = [_reflected(byte) for byte in range(256)]


def _masked_crc(data: bytes) -> bytes:
  """CRC-32C, turned and shifted as in TFRecord files."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
  crc ^= 0xFFFFFFFF
  return struct.pack('<I', ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
