"""An inspection's numbers against what can be counted by hand or read from another source."""

import json

import jax
import pytest
from _helpers import runs

from vitlab.inspection import chips, compiled
from vitlab.train.setup import build


@pytest.fixture(scope='module')
def found():
  config = runs.config(mesh={'data': 2, 'fsdp': 2, 'model': 2}, model__depth=2)
  return compiled.inspect(build(config), chips.CHIPS['h100'], '8 x h100')


def test_parameters_are_counted_and_sized(found):
  rows = {parameter.name: parameter for parameter in found.parameters}
  qkv = rows['encoder/block_*/attention/qkv/kernel']
  assert (qkv.copies, qkv.shape, qkv.size) == (2, (8, 3, 2, 4), 192)
  assert qkv.sharding == '(fsdp, -, model, -)'
  assert qkv.bytes_per_device == 192 * 4 // 4
  assert found.num_parameters == sum(row.copies * row.size for row in found.parameters)


def test_axes_of_size_one_split_nothing():
  config = runs.config(mesh={'data': 8, 'fsdp': 1, 'model': 1})
  found = compiled.inspect(build(config), chips.CHIPS['h100'], '8 x h100')
  assert {parameter.sharding for parameter in found.parameters} == {'replicated'}
  assert found.state_bytes['params'] == 4 * found.num_parameters


def test_forward_macs_are_those_of_the_formula(found):
  d, t, patches, f, depth, classes = 8, 5, 4, 8, 2, 10
  block = t * (4 * d * d + 2 * d * f) + 2 * t * t * d
  assert found.forward_macs == patches * 16 * d + depth * block + d * classes


def test_a_step_costs_about_three_forward_passes(found):
  ratio = sum(found.step_flops.values()) / (2 * found.forward_macs * found.batch_size)
  assert 2.5 < ratio <= 3


def test_adamw_and_the_average_hold_three_copies_of_the_parameters(found):
  params = found.state_bytes['params']
  assert found.state_bytes['average'] == params
  assert 2 * params <= found.state_bytes['optimizer'] <= 2 * params + 64
  assert found.memory['state'] >= 4 * params
  assert found.memory['peak'] >= found.memory['state'] + found.memory['temporaries']


def test_time_is_the_roofline_of_its_parts(found):
  flops = sum(found.step_flops.values())
  assert found.seconds['compute'] == pytest.approx(flops / 8 / found.chip.float32)
  assert found.seconds['memory'] == pytest.approx(found.bytes_moved / found.chip.bandwidth)
  parts = [found.seconds[name] for name in ('compute', 'memory', 'communication')]
  assert found.seconds['step'] == max(parts)


def test_what_is_sent_lies_above_what_parameters_need(found):
  sent = {(row.kind, row.axes): row for row in found.sent}
  assert sent['all-gather', 'fsdp'].bytes > 0 and sent['reduce-scatter', 'fsdp'].bytes > 0
  # Behind attention and mlp of two blocks, and backwards before them, of 16 examples.
  assert sent['all-reduce', 'model'].bytes == pytest.approx(8 * 8 * 5 * 8 * 4, rel=0.2)
  assert 0.5 * found.least_sent < sum(row.bytes for row in found.sent) - 8 * 8 * 5 * 8 * 4


def test_one_device_sends_nothing():
  found = compiled.inspect(build(runs.config(), jax.devices()[:1]), chips.CHIPS['h100'], 'one')
  assert found.sent == [] and found.least_sent == found.seconds['communication'] == 0


def test_run_writes_everything(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  found = compiled.run(runs.config(), 'v5e', str(tmp_path / 'found.json'))
  assert found.devices == '8 x v5e (simulated)'
  stored = json.loads((tmp_path / 'found.json').read_text())
  assert stored['num_parameters'] == found.num_parameters
  assert stored['sent'][0]['bytes'] == found.sent[0].bytes
  assert stored['chip']['links']['domain'] == 256
  assert [path.name for path in tmp_path.iterdir()] == ['found.json']  # no workdir
