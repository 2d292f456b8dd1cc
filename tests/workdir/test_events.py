"""Events are appended whole, whatever happened to the lines before."""

import logging

import pytest

from vitlab.workdir import events


def test_what_is_written_is_read(tmp_path):
  log = events.Events(tmp_path)
  assert log.reached == 0
  log.add('start', 3, seconds=1.23456, lost=2)
  log.add('save', 7, seconds=0.5)
  start, save = events.read(tmp_path)
  assert start == dict(time=start['time'], event='start', step=3, seconds=1.2346, lost=2)
  assert (save['event'], save['step']) == ('save', 7) and save['time'] >= start['time']
  again = events.Events(tmp_path)
  assert (again.first, again.reached) == (start['time'], 7)


def test_what_was_reached_is_what_the_last_session_reached(tmp_path):
  log = events.Events(tmp_path)
  for event, step in (('start', 0), ('train', 40), ('start', 30), ('save', 35), ('train', 34)):
    log.add(event, step)
  assert events.Events(tmp_path).reached == 35


@pytest.mark.parametrize('cut', [1, 9, 40])
def test_a_torn_line_is_left_out_and_the_next_one_is_whole(tmp_path, cut):
  log = events.Events(tmp_path)
  for step in (1, 2):
    log.add('save', step, seconds=0.5)
  path = tmp_path / 'events.jsonl'
  path.write_bytes(path.read_bytes()[:-cut])
  events.Events(tmp_path).add('start', 1)
  found = [event['step'] for event in events.read(tmp_path)]
  assert found == ([1, 2, 1] if cut == 1 else [1, 1])


@pytest.mark.parametrize(
  'line', ['[]', '7', 'null', '{"time": 1, "step": 2}', '{"time": "a", "step": 1, "event": "x"}']
)
def test_what_is_no_event_is_left_out(tmp_path, line):
  (tmp_path / 'events.jsonl').write_text(line + '\n')
  events.Events(tmp_path).add('start', 4)
  assert [event['step'] for event in events.read(tmp_path)] == [4]


def test_a_disk_that_is_gone_stops_nothing(tmp_path, caplog):
  log = events.Events(tmp_path / 'gone')
  with caplog.at_level(logging.WARNING):
    log.add('start', 0)
    (tmp_path / 'gone').mkdir()
    log.add('save', 1)
  assert [event['step'] for event in events.read(tmp_path / 'gone')] == [1]
  assert not caplog.records


def test_other_processes_write_nothing(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  events.Events(None).add('start', 0)
  assert not list(tmp_path.iterdir())
