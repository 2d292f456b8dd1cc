"""Processes that are not one run refuse within seconds, all of them, before anything is written."""

import fcntl
import json
import shutil
import types

import pytest
from _helpers import two_processes
from _helpers.pictures import encoded, noise

from vitlab.errors import UserError
from vitlab.hosts import agreement

DIGITS = ['--config=configs/vit_digits.py:smoke', '--config.duration=4 steps']
SOON = 40  # seconds; 5 on an idle machine


def refused(arguments, **options):
  """What both processes say, which have refused soon with code 2."""
  codes, complaints, seconds = two_processes.launch(arguments, **options)
  assert codes == [2, 2], complaints
  assert seconds < SOON
  said = [text.partition('error: ')[2].partition('\nprocess ')[0] for text in complaints]
  assert all(len(text.strip().splitlines()) <= 3 for text in said)
  assert not any('Traceback' in text for text in complaints)
  return said


def test_all_that_differs_is_named_and_nothing_is_started_again(tmp_path):
  copy = tmp_path / 'copy'
  shutil.copytree('vitlab', copy / 'vitlab', ignore=shutil.ignore_patterns('__pycache__'))
  shutil.copy('launch.py', copy)
  (copy / 'vitlab' / 'errors.py').open('a').write('# changed\n')
  common = [*DIGITS, f'--workdir={tmp_path / "run"}', '--restarts=3']
  changes = ['seed=1', 'evaluators.test.every=3 steps', 'checkpoint.every=2 steps', 'num_workers=1']
  first, second = refused(
    [common, [*common, *(f'--config.{change}' for change in changes)]],
    scripts=('launch.py', copy / 'launch.py'),
    environ=[{}, {'JAX_NUM_CPU_DEVICES': '1'}],
  )
  assert first == second
  assert 'seed (process 0: 0, process 1: 1)' in first
  assert 'evaluators.test.every (process 0: "25%", process 1: "3 steps")' in first
  assert 'checkpoint.every (process 0: "10%", process 1: "2 steps")' in first
  assert 'devices of a process (process 0: "2 x cpu", process 1: "1 x cpu")' in first
  assert 'code of vitlab (process 0: ' in first
  assert 'num_workers' not in first  # hosts may have other cores
  assert not (tmp_path / 'run').exists()


def test_other_data_under_the_same_path(tmp_path):
  for home, count in (('a', 32), ('b', 33)):
    for label in ('cat', 'dog'):
      folder = tmp_path / home / 'photos' / label
      folder.mkdir(parents=True)
      for index, picture in enumerate(noise(count, 8, 8, 3)):
        (folder / f'{index}.png').write_bytes(encoded(picture))
  config = '--config=configs/vit_folder.py:path=~/photos,size=8,variant=mu/4'
  command = [config, '--config.batch_size=8', f'--workdir={tmp_path / "run"}']
  homes = [{'HOME': str(tmp_path / home)} for home in ('a', 'b')]
  first, second = refused([command] * 2, environ=homes)
  assert first == second
  assert 'splits of the data.train.examples (process 0: 58, process 1: 59)' in first
  assert not (tmp_path / 'run').exists()


def test_what_only_one_process_finds_ends_the_other(tmp_path):
  command = [*DIGITS, f'--workdir={tmp_path}']
  with open(tmp_path / '.lock', 'w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    first, second = refused([command] * 2)
  assert 'is in use' in first and second.startswith('process 0 refused to start: workdir')


def test_what_one_finds_before_it_knows_the_other(tmp_path):
  command = [*DIGITS, f'--workdir={tmp_path / "run"}', '--restarts=3']
  first, second = refused([command, [*command, '--config.seeed=1']])
  assert "unknown key of config 'seeed'" in second
  assert first.startswith("process 1 refused to start: unknown key of config 'seeed'")


@pytest.fixture
def five(monkeypatch):
  """Makes this process number 0 of five, whose others have left what the test says."""

  def use(*others):
    messages = {process + 1: json.dumps(message) for process, message in enumerate(others)}
    left = {}
    client = types.SimpleNamespace(
      key_value_set=left.__setitem__,
      blocking_key_value_get=lambda key, _: left.get(key) or messages[int(key.split('/')[-1])],
    )
    state = types.SimpleNamespace(num_processes=5, process_id=0, client=client)
    monkeypatch.setattr(agreement.distributed, 'global_state', state)
    return left

  return use


def test_processes_with_the_same_value_are_named_together(five):
  same, other = {'values': {'a.b': '1'}}, {'values': {'a.b': '2'}}
  five(same, other, same, same)
  with pytest.raises(agreement.Disagreement, match=r'a\.b \(process 0-1\+3-4: 1, process 2: 2\)'):
    agreement.meet({'a': {'b': 1}})


def test_long_values_are_told_apart_by_a_digest(five):
  words = [f'word {i}' for i in range(1000)]
  left = five(*[{'values': {}}] * 4)
  with pytest.raises(agreement.Disagreement) as error:
    agreement.meet({'vocabulary': words})
  assert len(str(error.value)) < 300
  with pytest.raises(agreement.Disagreement):
    agreement.meet({'vocabulary': words[::-1]})
  first, second = (json.loads(text)['values']['vocabulary'] for text in left.values())
  assert first != second and max(len(first), len(second)) < 100


def test_an_error_is_told_once(five):
  left = five(*[{'error': 'no room'}] + [{'values': {}}] * 3)
  with pytest.raises(agreement.Disagreement, match='process 1 refused to start: no room'):  # noqa: SIM117
    with agreement.sharing():
      agreement.meet()
  assert len(left) == 1
  with pytest.raises(UserError), agreement.sharing():
    raise UserError('mine')
  assert json.loads(list(left.values())[-1]) == {'error': 'mine'}
