"""Seconds of a run over its sessions; a fake clock makes them exact."""

import pytest

from vitlab.train import clock
from vitlab.workdir import events


@pytest.fixture
def now(monkeypatch):
  class Now:
    seconds = 100.0

  monkeypatch.setattr(clock.time, 'perf_counter', lambda: Now.seconds)
  monkeypatch.setattr(clock.time, 'time', lambda: 1_790_000_000 + Now.seconds)
  return Now


def test_windows_leave_pauses_and_the_first_step_out(now):
  run = clock.Clock(started=90.0)
  assert not run.running
  now.seconds = 120.0  # compiling
  run.begin()
  now.seconds += 4
  run.count(400, 0.5)
  with run.spending('evaluate', 1):
    now.seconds += 50
  now.seconds += 6
  run.count(600, 0.5)
  assert run.window(2) == dict(examples_per_second=100.0, data_wait=0.1)
  now.seconds += 10
  run.count(200, 0.0)
  run.count(300, 0.0)
  assert run.window(3) == dict(examples_per_second=50.0, data_wait=0.0)
  assert run.session() == 100.0
  assert run.totals() == dict(seconds=100.0, training=20.0, waited=1.0, examples=1500)


def test_a_session_adds_to_those_before(now):
  run = clock.Clock(dict(seconds=30.0, training=20.0, waited=2.0, examples=100))
  now.seconds += 5
  assert run.totals() == dict(seconds=35.0, training=20.0, waited=2.0, examples=100)


def test_pauses_before_training_do_not_count(now):
  run = clock.Clock()
  with run.spending('compile', 1):
    now.seconds += 5
  run.begin()
  now.seconds += 2
  run.count(4, 0.0)
  assert run.window(2)['examples_per_second'] == 2.0


def test_no_training_has_no_speed(now):
  assert clock.speed(0.0, 0.0, 0) == {}
  run = clock.Clock(dict(seconds=30.0, training=20.0, waited=2.0, examples=100))
  assert run.window(0) == {}
  run.begin()
  now.seconds += 1
  assert run.window(0) == {}


def test_what_is_done_between_evaluation_and_save_is_no_training(now, tmp_path):
  """Else a checkpoint would count it, and a kill could take away the event that tells of it."""
  run = clock.Clock(events=events.Events(tmp_path))
  run.begin()
  now.seconds += 3
  run.count(30, 0.5)
  with run.spending('evaluate', 1):
    now.seconds += 10
  now.seconds += 2  # the row of metrics.jsonl
  with run.spending('save', 1):
    kept = run.totals()
  told = [event['seconds'] for event in events.read(tmp_path) if event['event'] == 'train']
  assert kept['training'] == sum(told) == 3.0


def test_a_save_within_a_window_keeps_the_part_before_it(now):
  run = clock.Clock()
  run.begin()
  now.seconds += 3
  run.count(30, 0.5)
  with run.spending('save', 1):
    now.seconds += 100
    kept = run.totals()
  assert (kept['training'], kept['waited'], kept['examples']) == (3.0, 0.5, 30)
  now.seconds += 1
  run.count(50, 0.0)
  assert run.window(2) == dict(examples_per_second=20.0, data_wait=0.125)


def test_every_second_of_training_is_in_one_event(now, tmp_path):
  run = clock.Clock(events=events.Events(tmp_path))
  with run.spending('compile', 1):
    now.seconds += 7
  run.begin()
  for step in (2, 3, 4):
    now.seconds += step
    run.count(10, 0.25)
    if step != 3:
      with run.spending('save', step):
        now.seconds += 0.5
    run.window(step)
  found = [(e['event'], e['step'], e['seconds']) for e in events.read(tmp_path)]
  assert found == [
    ('compile', 1, 7.0),
    ('train', 2, 2.0),
    ('save', 2, 0.5),
    ('train', 3, 3.0),
    ('train', 4, 4.0),
    ('save', 4, 0.5),
  ]
  assert sum(e.get('waited', 0) for e in events.read(tmp_path)) == run.totals()['waited'] == 0.75


def test_goodput_counts_the_gaps_between_sessions_and_what_was_lost(now, tmp_path):
  first = clock.Clock(events=events.Events(tmp_path))
  first._events.add('start', 0)
  first.begin()
  now.seconds += 10
  first.count(10, 2.0)
  with first.spending('save', 5):
    kept = first.totals()
  now.seconds += 15  # lost
  first.count(10, 0.0)
  first.window(6)
  now.seconds += 25  # nobody is there
  second = clock.Clock(kept, events=events.Events(tmp_path))
  second.begin()
  now.seconds += 30
  second.count(10, 1.0)
  second.window(9)
  assert second.goodput is None
  second.end(9)
  now.seconds += 5  # what is done with a run that is complete
  assert events.read(tmp_path)[-1]['goodput'] == round(second.goodput, 4)
  assert second.goodput == pytest.approx((10 - 2 + 30 - 1) / 80)


def test_goodput_of_a_run_that_is_older_than_its_events(now):
  run = clock.Clock(dict(seconds=40.0, training=30.0, waited=0.0, examples=100))
  now.seconds += 10
  run.end(9)
  assert run.goodput == pytest.approx(30 / 50)
