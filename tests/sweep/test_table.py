"""What a person sees of a sweep, on a terminal and elsewhere."""

import io
import json

import pytest
from _helpers import sweeps
from rich.console import Console

from vitlab.sweep import trial
from vitlab.sweep.table import Table


@pytest.fixture
def world(tmp_path):
  """A definition and its trials, in all states."""
  body = "for p in product({'optim.learning_rate': [1e-3, 2e-3]}, seeds(20)): add(p)"
  definition = sweeps.define(sweeps.write(tmp_path, body))
  trials = [trial.make(definition, tmp_path, n, p) for n, p in enumerate(definition.points)]
  for number in range(30):
    finish(trials[number], 0.5 + number / 100)
  trials[30].state, trials[30].error, trials[30].failures = trial.FAILED, 'a [b] disk is full', 2
  trials[31].state = trial.PRUNED
  trials[32].state = trial.RUNNING
  trials[32].rows = [{'step': 1200, 'test/accuracy': 0.25, 'time/seconds': 65.0}]
  return definition, trials, tmp_path


def finish(one, value):
  one.state = trial.FINISHED
  one.result = dict(metrics={'test/accuracy': value}, steps=1800, seconds=40.0)


def shown(world, *, terminal, height=60, act=None):
  definition, trials, path = world
  file = io.StringIO()
  console = Console(
    file=file, force_terminal=terminal, width=100, height=height, highlight=False, color_system=None
  )
  with Table(definition, path, console) as table:
    table.show(trials)
    if act:
      act(trials)
      table.show(trials)
  return file.getvalue(), table


def test_the_table_says_how_things_are(world):
  text, _ = shown(world, terminal=True)
  assert '1 running, 30 finished, 1 failed, 1 pruned, 7 waiting' in text
  lines = [' '.join(line.split()) for line in text.splitlines()]
  assert '32 running 0.002 12 1,200 25.00 % 1:05' in lines
  assert '29 finished 0.002 9 1,800 79.00 % 0:40 best' in lines
  assert any('a [b] disk is full' in line for line in lines)


def test_where_there_is_no_room_the_best_and_the_running_ones_are_shown(world):
  text, table = shown(world, terminal=True, height=14)
  assert [one.number for one in table._shown()] == [32, 29, 28, 27, 26, 25, 24, 23]
  assert '1 running, 30 finished' in text


def test_elsewhere_every_change_is_a_line(world):
  text, _ = shown(world, terminal=False, act=lambda trials: finish(trials[32], 0.9))
  lines = text.splitlines()
  assert len(lines) == 2 + 33 + 1
  assert lines[1] == '  40 trials over optim.learning_rate, seed'
  assert lines[-1] == (
    'trial 32  finished  test/accuracy 90.00 %  1,800 steps in 0:40'
    '  optim.learning_rate 0.002  seed 12  best so far'
  )
  assert sum('best so far' in line for line in lines) == 2
  assert lines[2 + 30].endswith('a [b] disk is full')


def test_the_last_words(world, capsys, tmp_path):
  definition, trials, path = world
  Table(definition, path).close(trials, tmp_path / 'sweep.html', stopped=False)
  said, complaint = capsys.readouterr()
  assert said.splitlines() == [
    f'done: best test/accuracy 79.00 % in trial 29: {trials[29].shown_command}'
    f'  ->  {tmp_path}/sweep.html'
  ]
  assert complaint == f'trial 30 failed: a [b] disk is full ({trials[30].log})\n'
  Table(definition, path).close(trials[39:], None, stopped=True)
  assert capsys.readouterr().out == (
    f'stopped, the same command continues: no trial has reached a test/accuracy yet  ->  {path}\n'
  )


def test_a_smaller_metric_can_be_the_better_one(world):
  definition, trials, path = world
  table = Table(definition._replace(goal='min'), path)
  assert table._best(trials).number == 0


def test_trials_on_other_data_are_named(world, capsys):
  definition, trials, path = world
  for number, count in {0: 40, 1: 40, 2: 38, 5: 38}.items():
    folder = trials[number].folder
    folder.mkdir(parents=True)
    splits = dict(train=dict(examples=count, digest=None))
    (folder / 'facts.json').write_text(json.dumps(dict(class_names=['a'], splits=splits)))
  Table(definition, path, Console(file=io.StringIO())).close(trials, None, stopped=False)
  said = 'other data than in trial 0 were used in 2, 5: train: 38 examples were 40'
  assert said in capsys.readouterr().err
  (trials[2].folder / 'facts.json').write_text('damaged')
  (trials[5].folder / 'facts.json').unlink()
  Table(definition, path, Console(file=io.StringIO())).close(trials, None, stopped=False)
  assert 'other data' not in capsys.readouterr().err


def test_no_value_breaks_the_table(world):
  """Nor is it read as a style of the console."""
  definition, trials, path = world
  for one in trials[:30]:
    one.point['optim.learning_rate'] = '[/]\n\x1b[2Ja[red]b'
  trials[30].error = 'line\nbreak \x1b[2J'
  text, _ = shown(world, terminal=True)
  assert r'[/]\n\x1b[2Ja[red]b' in text and r'line\nbreak \x1b[2J' in text
  assert '\x1b[2Ja' not in text
  text, _ = shown(world, terminal=False)
  assert r'[/]\n\x1b[2Ja[red]b' in text and '\x1b' not in text
