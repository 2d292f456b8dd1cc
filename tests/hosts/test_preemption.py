"""Signals become an answer that the loop asks for."""

import os
import signal
import threading

import pytest

from vitlab.hosts.preemption import Preempted, StopSignal


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_an_answer(number):
  with StopSignal() as stop:
    assert not stop.asked() and not stop.at_step(3)
    os.kill(os.getpid(), number)
    assert stop.asked() and stop.at_step(3)


def test_the_second_ctrl_c_ends_at_once():
  with StopSignal(), pytest.raises(KeyboardInterrupt):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back():
  before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
  with StopSignal():
    os.kill(os.getpid(), signal.SIGINT)
  assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_outside_of_the_main_thread_signals_are_left_alone():
  before, inside = signal.getsignal(signal.SIGTERM), []

  def work():
    with StopSignal():
      inside.append(signal.getsignal(signal.SIGTERM))

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert inside == [before]


def test_preempted_exits_with_75():
  error = Preempted('saved')
  assert isinstance(error, SystemExit) and error.code == 75 and str(error) == 'saved'
