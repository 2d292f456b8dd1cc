"""Flags do what they say or are refused by name, in every mode."""

import inspect
import os
import pathlib
import re
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import runs, translators
from _helpers.refusal import refused
from PIL import Image

import launch
from vitlab.cli import command_line, config_file
from vitlab.errors import UserError
from vitlab.predict import folder as folder_lib
from vitlab.predict import program, stablehlo, trained
from vitlab.train.run import train

ROOT = pathlib.Path(__file__).parents[1]
DIGITS = '--config=configs/vit_digits.py:smoke'
# A value of every flag; of the modes' own words, the rest is said in `command_line.BELONG`.
VALUES = dict(
  config='configs/vit_digits.py',
  workdir='runs/a',
  output='x',
  format='timm',
  topology='h100:8',
  cluster='off',
  heartbeat='60',
  restarts='0',
  compile_cache='off',
  search='beam',
  average='0',
  nbest='1',
  threshold='0.5',
  nms='0.5',
  samples='1',
  attention='true',
  sweep='x.py',
  backend='local',
  slots='0',
  retries='1',
  debug='true',
)
EVERYWHERE = {'config', 'workdir', 'debug', 'mode'}  # read by Command and main


def read_by(mode):
  """The flags that the function of a mode reads."""
  source = inspect.getsource(launch.MODES[mode])
  used = set(re.findall(r'(?:values|flags)\.(\w+)', source)) | EVERYWHERE
  if 'prepare(' in source:
    used |= set(re.findall(r'values\.(\w+)', inspect.getsource(command_line.prepare)))
  return used | (
    {'search'} if 'command.overrides' in source or 'command.config' in source else set()
  )


def test_every_flag_is_in_the_table():
  assert {*VALUES, 'mode'} == set(command_line.define_flags(list(launch.MODES)))


@pytest.mark.parametrize('mode', launch.MODES)
@pytest.mark.parametrize('flag', VALUES)
def test_a_flag_is_used_or_refused(flag, mode):
  """Also one that is given its default, and is of no use to the mode."""
  arguments = [f'--mode={mode}', f'--{flag}={VALUES[flag]}']
  if flag in read_by(mode) and mode in command_line.BELONG.get(flag, [mode]):
    assert command_line.parse(arguments, list(launch.MODES)).flags[flag].present
  else:
    with pytest.raises(UserError, match=f'--{flag} goes with --mode=.*, not --mode={mode}'):
      command_line.parse(arguments, list(launch.MODES))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'tiny'
  train(runs.config(task__mean=(0.5,)), str(folder))
  return folder


@pytest.fixture(scope='module')
def world(run):
  """Beside the run: weights of timm, pictures, a config."""
  tmp = run.parent
  Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp / 'one.png')
  for name in [
    f'{split}/{label}/{n}' for split in ('train', 'test') for label in '12' for n in '0123'
  ]:
    (tmp / 'pictures' / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', (8, 8), 9 * int(name[-1])).save(tmp / 'pictures' / f'{name}.png')
  return tmp


TINY, ONE = '--workdir={tmp}/tiny', '{tmp}/one.png'
REFUSED = {
  'unknown key to predict': (['--mode=predict', TINY, '--config.bogus=1', ONE], "'bogus'"),
  'unknown key to export': (['--mode=export', TINY, '--config.model.witdh=1'], 'did you mean'),
  'training key to predict': (['--mode=predict', TINY, '--config.seed=1', ONE], 'seed=1 has no'),
  'training key to export': (['--mode=export', TINY, '--config.batch_size=1'], 'has no effect'),
  'another model to predict': (
    ['--mode=predict', TINY, '--config.model.num_heads=1', ONE],
    'num_heads=1 would be another model',
  ),
  'another model to export': (
    ['--mode=export', TINY, '--config.model.num_heads=1'],
    'num_heads=1 would be another model',
  ),
  'another model of the same shapes to eval': (
    ['--mode=eval', TINY, '--config.model.num_heads=1'],
    '(there -> here): num_heads 2 -> 1',
  ),
  'a change to report': (['--mode=report', TINY, '--config.seed=1'], 'leave --config.seed=1 out'),
  'a search of a classifier': (['--mode=predict', TINY, '--search=beam', ONE], "'search'"),
  'n-best of a classifier': (['--mode=predict', TINY, '--nbest=2', ONE], '--nbest=2'),
  'a lowest score of a classifier': (
    ['--mode=predict', TINY, '--threshold=0.5', ONE],
    "--threshold=0.5 is for detectors: the task of this model is 'classification'",
  ),
  'two configs to predict': (['--mode=predict', DIGITS, TINY, ONE], 'leave --config out'),
  'two configs to export': (['--mode=export', DIGITS, TINY], 'leave --config out'),
  'two configs to inspect': (['--mode=inspect', DIGITS, TINY], 'give one of them'),
  'two kinds of runs to report': (['--mode=report', TINY, '{tmp}/tiny'], '--workdir or folders'),
  'a config and runs to report': (['--mode=report', DIGITS, '{tmp}/tiny'], '--config or folders'),
  'an average of weights': (
    ['--mode=predict', '--workdir={tmp}/timm', '--average=2', ONE],
    'not the checkpoints of a run',
  ),
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)
  monkeypatch.chdir(ROOT)


@pytest.fixture(scope='module')
def weights(world, run):

  return folder_lib.export(trained.load(str(run)), 'timm', str(world / 'timm'))


@pytest.mark.parametrize('arguments, named', REFUSED.values(), ids=REFUSED)
def test_what_would_be_ignored_is_refused(arguments, named, world, weights, capsys):
  refused(capsys, [text.replace('{tmp}', str(world)) for text in arguments], named)


@pytest.mark.parametrize('name', ['tiny', 'timm'])
def test_a_config_to_fine_tune_evaluates_what_it_starts_from(name, world, weights, capsys):
  config = f'configs/finetune.py:weights={world}/{name},path={world}/pictures'
  arguments = ['--mode=eval', f'--workdir={world}/{name}', f'--config={config}']
  assert launch.main([*arguments, '--config.batch_size=8']) == 0
  assert 'test/accuracy' in capsys.readouterr().out


def test_changes_reach_the_stored_config(run, tmp_path):
  plain, model = trained.load(str(run)), trained.load(str(run), ['--config.task.mean=(0.9,)'])
  assert model.config.task.mean == (0.9,) != plain.config.task.mean
  file = program.export(model, str(tmp_path / 'model'))
  assert stablehlo.load(file).facts['config']['task']['mean'] == [0.9]
  images = jnp.zeros((1, 8, 8, 1), jnp.uint8)
  rows = [m.task.predict['probabilities'](m.variables, {'image': images}) for m in (plain, model)]
  assert np.abs(rows[0] - rows[1]).max() > 1e-4


@pytest.mark.parametrize('mode', ['predict', 'eval'])
@pytest.mark.parametrize(
  'text, spec',
  [
    ('beam,beams=8', dict(name='beam', beams=8)),
    ('beam,gnmt=false,length_penalty=1', dict(name='beam', gnmt=False, length_penalty=1)),
    ('sample,temperature=1e-1,top_p=0.9', dict(name='sample', temperature=0.1, top_p=0.9)),
    ('greedy', dict(name='greedy')),
  ],
)
def test_search_is_a_change_of_the_config(mode, text, spec):
  for flag in ('--search', '--config.task.search'):
    command = command_line.parse([f'--mode={mode}', f'{flag}={text}'], list(launch.MODES))
    config = translators.trained(translators.RNN).config.copy_and_resolve_references().lock()
    config_file.override(config, command.overrides)
    assert config.task.search.to_dict() == spec


def test_the_home_folder_in_every_path(monkeypatch, tmp_path):
  monkeypatch.setenv('HOME', str(tmp_path))
  (tmp_path / 'c.py').write_text((ROOT / 'configs' / 'vit_digits.py').read_text())
  command = command_line.parse(
    ['--mode=predict', '--workdir=~/a', '--output=~/b', '~/c.png'], list(launch.MODES)
  )
  assert command.workdir() == f'{tmp_path}/a' and command.flags.output == f'{tmp_path}/b'
  assert command.paths == [f'{tmp_path}/c.png']
  command = command_line.parse(['--config=~/c.py:smoke'], list(launch.MODES))
  assert command.config().model.depth == 2 and command.workdir() == 'runs/c-smoke'
  command = command_line.parse(['--mode=sweep', '--sweep=~/d.py'], list(launch.MODES))
  assert command.flags.sweep == f'{tmp_path}/d.py'


def test_the_home_folder_in_a_config(monkeypatch, world, weights):
  from vitlab.train import weights as weights_lib

  monkeypatch.setenv('HOME', str(world))
  assert weights_lib.find('~/timm').path == weights and weights_lib.find('~/tiny').origin['step']


@pytest.mark.parametrize(
  'arguments',
  [
    ['--help'],
    [],
    [DIGITS, '--config.log_every=1steps', '--workdir={tmp}'],
    [DIGITS, '--config.log_every=1steps', '--workdir={tmp}', '--restarts=2'],
  ],
  ids=['help', 'nothing', 'train', 'restarts'],
)
def test_a_reader_that_leaves_ends_it_quietly(arguments, tmp_path):
  reader, writer = os.pipe()
  os.close(reader)
  arguments = [text.replace('{tmp}', str(tmp_path / 'run')) for text in arguments]
  command = [sys.executable, 'launch.py', *arguments]
  environment = os.environ | {'JAX_PLATFORMS': 'cpu', 'PYTHONUNBUFFERED': '1'}
  done = subprocess.run(
    command,
    stdout=writer,
    stderr=subprocess.PIPE,
    text=True,
    cwd=ROOT,
    env=environment,
    timeout=200,
  )
  os.close(writer)
  assert (done.returncode, done.stderr) == (141, '')
