"""Topologies are read or refused; the data sheet numbers are of plausible size."""

import pytest

from vitlab.errors import UserError
from vitlab.inspection import chips


def test_a_topology_is_a_chip_and_a_count():
  assert chips.parse_topology('h100:8') == ('h100', 8)
  assert chips.parse_topology('V5E:16') == ('v5e', 16)
  assert chips.parse_topology('cpu') == ('cpu', 1)
  assert chips.parse_topology('') == ('', 0)


def test_devices_find_their_data_sheet():
  assert chips.name_of('NVIDIA H100 80GB HBM3') == 'h100'
  assert chips.name_of('TPU v5 lite') == 'v5e'
  assert chips.name_of('TPU v5') == 'v5p'
  assert chips.name_of('cpu') == 'cpu'
  with pytest.raises(UserError, match='no data sheet'):
    chips.name_of('Quantum 3')


@pytest.mark.parametrize(
  'text, says',
  [
    ('h10:8', 'did you mean h100'),
    ('gpu', 'possible are'),
    ('h100:', 'expected h100:<devices>'),
    ('h100:0', 'expected h100:<devices>'),
    ('h100:-2', 'expected h100:<devices>'),
    ('v5e:4x4', 'expected v5e:<devices>'),
  ],
)
def test_a_wrong_topology_says_what_is_possible(text, says):
  with pytest.raises(UserError, match=says):
    chips.parse_topology(text)


@pytest.mark.parametrize('name', chips.CHIPS)
def test_numbers_of_the_table_are_in_base_units(name):
  chip = chips.CHIPS[name]
  assert 1e13 < chip.float32 <= chip.bfloat16 < 1e16
  assert 1e10 < chip.memory < 1e12
  assert 1e11 < chip.bandwidth < 1e13
  # Links are slower than memory, the network is slower than links, and all are in bytes/s.
  assert 1e9 < chip.links.network < chip.links.speed < chip.bandwidth
  assert chip.links.domain >= 8
  # Every accelerator needs tens to hundreds of FLOPs per byte to be busy.
  assert 50 < chip.bfloat16 / chip.bandwidth < 1000


def test_a_cpu_has_no_more_memory_than_its_control_group(monkeypatch):
  monkeypatch.setattr(chips, '_measure', lambda: (1e9, 1e9))
  monkeypatch.setattr(chips.machine, 'memory_limit', lambda: 6_000_000_000)
  assert chips.find('cpu', 1).memory == 6e9
  assert chips.find('cpu', 4).memory == 1.5e9


def test_the_cpu_is_measured_and_shared_out():
  one, four = chips.find('cpu', 1), chips.find('cpu', 4)
  assert one.float32 > 1e9
  assert one.memory == 4 * four.memory
