"""Seconds of a run over its sessions; a fake clock makes them exact."""

import pytest

from vitlab.engine import clock


@pytest.fixture
def now(monkeypatch):
  class Now:
    seconds = 100.0

  monkeypatch.setattr(clock.time, 'perf_counter', lambda: Now.seconds)
  return Now


def test_windows_leave_pauses_and_the_first_step_out(now):
  run = clock.Clock(started=90.0)
  assert not run.running
  now.seconds = 120.0  # compiling
  run.begin()
  now.seconds += 4
  with run.paused():
    now.seconds += 50
  now.seconds += 6
  assert run.window(1000, waited=1.0) == dict(examples_per_second=100.0, data_wait=0.1)
  now.seconds += 10
  assert run.window(500, waited=0.0) == dict(examples_per_second=50.0, data_wait=0.0)
  assert run.session() == 100.0
  assert run.totals() == dict(seconds=100.0, training=20.0, waited=1.0, examples=1500)


def test_a_session_adds_to_those_before(now):
  run = clock.Clock(dict(seconds=30.0, training=20.0, waited=2.0, examples=100))
  now.seconds += 5
  assert run.totals() == dict(seconds=35.0, training=20.0, waited=2.0, examples=100)


def test_pauses_before_training_do_not_count(now):
  run = clock.Clock()
  with run.paused():
    now.seconds += 5
  run.begin()
  now.seconds += 2
  assert run.window(4, 0.0)['examples_per_second'] == 2.0


def test_no_training_has_no_speed():
  assert clock.speed(0.0, 0.0, 0) == {}
