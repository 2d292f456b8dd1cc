"""The rules of a workdir: who may write to it, what it promises to whoever reads it."""

import json
import os
import subprocess
import sys
import types

import pytest

from vitlab import config as config_lib
from vitlab import workdir
from vitlab.errors import UserError
from vitlab.workdir import folder


@pytest.fixture
def config():
  config = config_lib.base()
  config.model = dict(name='vit', depth=6)
  return config


def _claimed(path, config):
  with workdir.claim(str(path), config) as folder:
    return folder


def test_new_folder_gets_the_config(tmp_path, config):
  folder = _claimed(tmp_path / 'a' / 'b', config)
  stored = json.loads((folder / 'config.json').read_text())
  assert stored == workdir.to_json(config)
  assert stored['model'] == {'name': 'vit', 'depth': 6}


def test_check_creates_nothing(tmp_path, config):
  assert workdir.check(str(tmp_path / 'a'), config) is None
  assert not (tmp_path / 'a').exists()


def test_another_config_is_refused_with_the_keys(tmp_path, config):
  folder = _claimed(tmp_path / 'run', config)
  config.model.depth = 8
  config.seed = 1
  with pytest.raises(UserError) as error:
    workdir.check(str(folder), config)
  message = str(error.value)
  assert 'model.depth 6 -> 8' in message and 'seed 0 -> 1' in message
  assert '--workdir' in message and 'rm -r' in message
  assert len(message.splitlines()) <= 3


def test_absent_keys_are_named(tmp_path, config):
  folder = _claimed(tmp_path / 'run', config)
  config.model = dict(name='vit')
  with pytest.raises(UserError, match=r'model.depth 6 -> \(absent\)'):
    workdir.check(str(folder), config)


def test_keys_that_move_no_parameter_are_free(tmp_path, config):
  folder = _claimed(tmp_path / 'run', config)
  config.log_every = '3 steps'
  config.num_workers = 2
  config.checkpoint.keep = 5
  config.mesh.fsdp = 2
  assert workdir.check(str(folder), config) is None
  _claimed(folder, config)
  assert workdir.read_json(folder / 'config.json')['log_every'] == '3 steps'


def test_a_free_key_frees_no_other_that_starts_alike(tmp_path, config):
  folder = _claimed(tmp_path / 'run', config)
  stored = workdir.read_json(folder / 'config.json')
  workdir.write_json(folder / 'config.json', stored | {'mesh_like': 1})
  with pytest.raises(UserError, match='mesh_like'):
    workdir.check(str(folder), config)


def test_checkpoints_without_a_config_are_refused(tmp_path, config):
  (tmp_path / 'checkpoints').mkdir()
  with pytest.raises(UserError, match=r'config\.json'):
    workdir.check(str(tmp_path), config)


def test_finished_run_returns_its_result(tmp_path, config):
  folder = _claimed(tmp_path / 'run', config)
  result = {'metrics': {'test/loss': 1.0}, 'steps': 7, 'seconds': 2.5}
  workdir.write_json(folder / 'result.json', result)
  assert workdir.check(str(folder), config) == result


@pytest.mark.parametrize('path', ['', '  '])
def test_empty_path(path, config):
  with pytest.raises(UserError, match='empty'):
    workdir.check(path, config)


@pytest.mark.parametrize('below', ['', 'deeper/still'])
def test_a_file_is_not_a_workdir(tmp_path, config, below):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='is a file'):
    workdir.check(str(tmp_path / 'file' / below), config)


def test_a_folder_without_rights(tmp_path, config, monkeypatch):
  monkeypatch.setattr(os, 'access', lambda *_: False)  # root may write anywhere
  with pytest.raises(UserError, match='no right to write'):
    workdir.check(str(tmp_path / 'run'), config)


def test_a_disk_that_refuses_folders(config):
  with pytest.raises(UserError, match='choose another --workdir'), workdir.claim('/proc/x', config):
    pass


def test_a_second_process_is_refused(tmp_path, config):
  program = (
    'import sys; from vitlab import config; from vitlab import workdir\n'
    'c = config.base(); c.model = dict(name="vit", depth=6)\n'
    'with workdir.claim(sys.argv[1], c): print("mine", flush=True); sys.stdin.read()'
  )
  holder = subprocess.Popen(
    [sys.executable, '-c', program, str(tmp_path)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  assert holder.stdout.readline() == 'mine\n'
  with pytest.raises(UserError, match=f'in use by process {holder.pid}'):
    _claimed(tmp_path, config)
  holder.kill()
  holder.communicate()
  _claimed(tmp_path, config)  # a killed process holds nothing


def test_space_is_asked_for_before_the_start(tmp_path, monkeypatch):
  usage = types.SimpleNamespace(free=10**9)
  monkeypatch.setattr(folder.shutil, 'disk_usage', lambda _: usage)
  workdir.require_space(str(tmp_path / 'new'), 10**9)
  with pytest.raises(UserError, match=r'1\.00 GB free.*need 3\.00 GB'):
    workdir.require_space(str(tmp_path / 'new'), 3 * 10**9)


def test_a_run_from_before_a_key_came_is_continued_with_its_default(tmp_path):
  config = config_lib.base()
  stored = workdir.to_json(config)
  del stored['init_from']
  workdir.write_json(tmp_path / workdir.CONFIG, stored)
  assert workdir.check(str(tmp_path), config) is None
  config.init_from = 'weights'
  with pytest.raises(UserError, match='init_from null -> "weights"'):
    workdir.check(str(tmp_path), config)


def test_a_folder_is_held_as_long_as_its_process_says(tmp_path):
  folder = tmp_path / 'new'
  assert not workdir.is_held(folder)
  with workdir.hold(str(folder)) as held:
    assert held == folder
    assert workdir.is_held(folder)
    with pytest.raises(UserError, match='in use by process'), workdir.hold(str(folder)):
      pass
  assert not workdir.is_held(folder)
