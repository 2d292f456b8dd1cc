"""What a person reads, on a terminal and in a log file."""

import io
import logging

import pytest
from rich.console import Console

from vitlab.train import progress

TRAIN = {'train/accuracy': 0.9312, 'train/loss': 0.25, 'train/learning_rate': 1e-3}
SPEED = dict(examples_per_second=3412.4, data_wait=0.003)


def _console(terminal, width=100):
  return Console(file=io.StringIO(), force_terminal=terminal, width=width, highlight=False)


def _show(console):
  with progress.Progress(
    'digits', 200, header=[('model', 'vit')], unit='images', console=console
  ) as display:
    display.advance(50)
    display.trained(50, TRAIN, {})
    display.advance(100)
    display.trained(100, TRAIN, SPEED)
    display.evaluated(100, 'test', {'test/top5_accuracy': 1.0, 'test/accuracy': 0.5})
    display.note('a note')
  return display


def test_without_a_terminal_each_event_is_a_line():
  console = _console(terminal=False, width=20)
  _show(console)
  title, model, first, second, test, note = console.file.getvalue().splitlines()
  assert (title, model.split()) == ('digits', ['model', 'vit'])
  assert first == 'step 50/200  train loss 0.25  accuracy 93.12 %'
  assert second.startswith('step 100/200  train loss 0.25  accuracy 93.12 %  3,412 images/s')
  assert '0.3 % waiting for data' in second and second.endswith(' left')
  assert test == 'step 100/200  test accuracy 50.00 %  top5 accuracy 100.00 %'
  assert note == 'a note'


@pytest.mark.parametrize('width', [40, 100])
def test_on_a_terminal_it_fits(width):
  display = _show(_console(terminal=True))
  page = _console(terminal=False, width=width)
  page.print(display)
  lines = page.file.getvalue().splitlines()
  assert all(len(text) <= width for text in lines)
  assert len(lines) == 5  # a blank, the bar, train, test, a blank


def test_on_a_terminal_the_numbers_are_there():
  display = _show(_console(terminal=True))
  page = _console(terminal=False)
  page.print(display)
  text = page.file.getvalue()
  for words in ('100/200', '50 %', 'loss 0.25', 'accuracy 93.12 %', '3,412 images/s', 'left'):
    assert words in text
  assert 'at step 100' in text and 'learning rate' not in text


def test_what_it_is_doing_stands_in_place_of_the_time_left():
  with progress.Progress('digits', 200, console=_console(terminal=True)) as display:
    page = _console(terminal=False)
    with display.doing('compiling'):
      page.print(display)
    assert 'compiling' in page.file.getvalue()
    page.print(display)
    assert page.file.getvalue().count('compiling') == 1


def test_warnings_stand_above_the_display():
  console = _console(terminal=True)
  with progress.Progress('digits', 200, console=console):
    handler = logging.StreamHandler()  # standard error as it is now: redirected
    handler.emit(logging.makeLogRecord(dict(msg='look out', levelno=logging.WARNING)))
  assert 'look out' in console.file.getvalue()


@pytest.mark.parametrize(
  'seconds, text', [(7.4, '0:07'), (59.6, '1:00'), (750.0, '12:30'), (11100.0, '3:05:00')]
)
def test_duration(seconds, text):
  assert progress.duration(seconds) == text


@pytest.mark.parametrize(
  'name, number, text',
  [
    ('test/accuracy', 0.98765, '98.77 %'),
    ('test/loss', 0.0123456, '0.01235'),
    ('bleu', 31415.9, '31,416'),
    ('ece', None, 'undefined'),
  ],
)
def test_value(name, number, text):
  assert progress.value(name, number) == text


@pytest.mark.parametrize('more, said', [({}, ''), ({'goodput': 0.876}, ', goodput 88 %')])
def test_closing_says_what_was_reached_and_where(capsys, more, said):
  metrics = {'train/accuracy': 1.0, 'test/accuracy': 0.9778, 'test/loss': 0.1}
  progress.closing(dict(metrics=metrics, steps=2000, seconds=75.0) | more, 'runs/digits')
  assert capsys.readouterr().out == (
    f'done: test/accuracy 97.78 %  after 2,000 steps in 1:15{said}  ->  runs/digits\n'
  )
