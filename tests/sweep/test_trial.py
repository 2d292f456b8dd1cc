"""What a trial says of itself, from its files."""

import json
import shlex

import pytest
from _helpers import sweeps

from vitlab.sweep import trial


@pytest.fixture
def one(tmp_path):
  definition = sweeps.define(sweeps.write(tmp_path, "add({'optim.name': 'a b', 'seed': 3})"))
  return trial.make(definition, tmp_path / 'sweep', 17, definition.points[0], extra=['--x=1'])


def write(one, steps, finished=False):
  one.folder.mkdir(parents=True, exist_ok=True)
  rows = [{'step': s, 'test/accuracy': s / 8, 'time/seconds': 2.0 * s} for s in range(1, steps + 1)]
  text = ''.join(json.dumps(row) + '\n' for row in rows)
  (one.folder / 'metrics.jsonl').write_text(text + '{"step": 9')
  if finished:
    result = dict(metrics={'test/accuracy': 0.5}, steps=8, seconds=20.0)
    (one.folder / 'result.json').write_text(json.dumps(result))


def test_the_command_is_one_of_the_launcher(one, tmp_path):
  words = shlex.split(one.shown_command)
  assert words[0] == 'python' and words[1].endswith('launch.py')
  assert '--config.optim.name=a b' in words and '--x=1' in words
  assert words[-1] == f'--workdir={tmp_path}/sweep/trial_017'
  assert words[1:] == list(one.command)


def test_a_row_has_these_keys_and_no_value_before_the_end(one):
  write(one, 3)
  one.state = trial.RUNNING
  one.read()
  row = one.row('test/accuracy')
  keys = 'trial state point workdir command metrics value steps seconds attempts error'
  assert ' '.join(row) == keys
  assert (row['state'], row['value'], row['steps'], row['seconds']) == ('running', None, 3, 6.0)
  assert row['metrics'] == {'test/accuracy': 3 / 8} and row['attempts'] == 1
  assert one.measured('test/accuracy') == [1 / 8, 2 / 8, 3 / 8]
  write(one, 4, finished=True)
  one.read()
  row = one.row('test/accuracy')
  assert (row['state'], row['value'], row['steps'], row['seconds']) == ('finished', 0.5, 8, 20.0)


@pytest.mark.parametrize('state', ['waiting', 'running', 'finished', 'failed', 'pruned'])
def test_what_is_stored_is_restored(one, state, tmp_path):
  one.state, one.failures, one.error = state, 1, 'why'
  trial.store(tmp_path, [one], 'test/accuracy')
  row = trial.stored(tmp_path)[17]
  assert row['attempts'] == 1 + (state in ('running', 'finished', 'pruned'))
  again = trial.Trial(17, one.point, one.folder, one.log, one.command)
  trial.restore(again, row)
  assert (again.failures, again.error) == (1, 'why')
  # Finished is only what has left a result.
  assert again.state == (state if state in ('failed', 'pruned') else 'waiting')


def test_the_error_is_the_last_line_or_the_mistake(one):
  assert one.last_line(1) == 'exit code 1, and not a word'
  one.log.parent.mkdir(parents=True)
  one.log.write_text('$ command\nerror: no such key\ntry another\n\n')
  assert one.last_line(1) == 'try another'
  assert one.last_line(2) == 'error: no such key'
  assert one.last_line(-9) == 'ended by SIGKILL; before it: try another'
