"""What people read of an inspection."""

import pytest

from vitlab.inspection import chips, collectives, compiled
from vitlab.inspection import text as text_lib

PARAMETER = compiled.Parameter('mlp/up/kernel', 12, (8, 4), 'float32', '(fsdp, -)', 32, 16)


@pytest.fixture
def found():
  return compiled.Inspection(
    devices='8 x h100 (simulated)',
    mesh=dict(data=1, fsdp=8, model=1),
    parameters=[PARAMETER],
    num_parameters=1234567,
    state_bytes=dict(params=5_000_000, frozen=0),
    memory=dict(state=6e6, temporaries=2e9, peak=2.006e9, process=0),
    forward_macs=4.6e9,
    step_flops=dict(bfloat16=1e12),
    bytes_moved=3e9,
    sent=[collectives.Traffic('all-gather', 'fsdp', 24, 7.5e6)],
    least_sent=7.4e6,
    seconds=dict(compute=0.03, memory=0.05, communication=0.01, step=0.05),
    steps=1000,
    batch_size=1024,
    chip=chips.CHIPS['h100'],
  )


def lines(found):
  return {line.partition('  ')[0]: line for line in text_lib.render(found).splitlines()}


def test_everything_is_said(found):
  text = lines(found)
  assert (
    ' '.join(text['mlp/up/kernel'].split()) == 'mlp/up/kernel 12 x float32[8, 4] (fsdp, -) 0.000'
  )
  assert text['all-gather'].split() == ['all-gather', 'fsdp', '24', '7.500']
  assert '1,234,567' in text['parameters']
  assert text['state'].endswith('params 5 MB a device')
  assert 'peak (state 6 MB, temporaries 2 GB): compiled for' in text['memory']
  assert 'compiled for CPU, an upper estimate, it fits' in text['memory']
  assert '50 ms a step' in text['time'] and '20,480 examples/s' in text['time']
  assert 'compute 30, memory 50, communication 10)' in text['time']
  assert 'sends 7.5 MB a step' in text['communication'] and 'need 7.4 MB' in text['communication']
  assert text['communication'].endswith('10 ms beside 30 ms of compute, 25.0% of both')
  assert '450 GB/s a device each way among 8, 50 GB/s beyond' in text['links']


def test_one_device_has_nobody_to_talk_to(found):
  alone = found._replace(sent=[], least_sent=0, seconds=found.seconds | dict(communication=0.0))
  assert not {'communication', 'links', 'collective'} & set(lines(alone))
  assert 'communication' not in lines(alone)['time']


def test_a_model_too_large_is_said_not_to_fit(found):
  small = found._replace(chip=found.chip._replace(memory=1e3))
  assert 'DOES NOT FIT' in text_lib.render(small)
  assert 'DOES NOT FIT' not in text_lib.render(found)
