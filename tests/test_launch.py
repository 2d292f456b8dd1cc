"""The launcher as people use it: one short run through every mode, in real processes."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest
from PIL import Image

import launch
from vitlab.data.sets import digits
from vitlab.errors import UserError
from vitlab.predict import stablehlo

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = '--config=configs/vit_digits.py:smoke'
SHORT = [
  '--config.duration=40 steps',
  '--config.evaluators.test.every=20 steps',
  '--config.checkpoint.every=20 steps',
]


def run(*arguments, **environment):
  """Runs the launcher in a process of its own; returns it finished."""
  return subprocess.run(
    [sys.executable, 'launch.py', *map(str, arguments)],
    cwd=ROOT,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'} | environment,
    capture_output=True,
    text=True,
    timeout=300,
  )


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'digits'
  cache = f'--compile_cache={ROOT / ".jax_cache"}'
  done = run(CONFIG, *SHORT, f'--workdir={folder}', cache)
  assert done.returncode == 0, done.stderr
  return folder, done, cache


def test_training_reports_and_leaves_everything(trained):
  folder, done, _ = trained
  last = done.stdout.splitlines()[-1]
  assert last.startswith('done: test/accuracy') and str(folder) in last
  assert 'images/s' in done.stdout and 'waiting for data' in done.stdout
  assert {'config.json', 'facts.json', 'metrics.jsonl', 'result.json', 'report.html'} <= {
    path.name for path in folder.iterdir()
  }
  result = json.loads((folder / 'result.json').read_text())
  assert result['steps'] == 40 and 0 < result['metrics']['test/accuracy'] <= 1
  assert not done.stderr


def test_the_same_command_again_says_that_it_is_finished(trained):
  folder, _, cache = trained
  done = run(CONFIG, *SHORT, f'--workdir={folder}', cache)
  assert done.returncode == 0
  assert any(x.startswith('already finished: test/accuracy') for x in done.stdout.splitlines())


def test_another_config_is_refused_with_its_differences(trained):
  folder, _, _ = trained
  start = time.perf_counter()
  done = run(CONFIG, *SHORT, '--config.seed=1', f'--workdir={folder}')
  assert time.perf_counter() - start < 5
  assert done.returncode == 2
  assert 'seed 0 -> 1' in done.stderr and len(done.stderr.splitlines()) <= 3


def test_every_other_mode_works_from_the_workdir(trained, tmp_path):
  folder, _, cache = trained
  workdir = f'--workdir={folder}'
  picture = tmp_path / 'seven.png'
  Image.fromarray(digits.make().splits['test'].arrays['image'][0][..., 0]).save(picture)

  done = run('--mode=eval', workdir, cache)
  assert done.returncode == 0 and 'test/accuracy' in done.stdout, done.stderr

  done = run('--mode=predict', workdir, cache, picture)
  assert done.returncode == 0 and str(picture) in done.stdout, done.stderr
  labels = done.stdout

  page = tmp_path / 'attention.html'
  done = run('--mode=predict', workdir, cache, '--attention', f'--output={page}', picture)
  assert done.returncode == 0 and done.stdout.endswith(f'{page}\n'), done.stderr
  assert 'seven.png' in page.read_text()

  done = run('--mode=export', workdir, cache)
  assert done.returncode == 0, done.stderr
  assert len(stablehlo.load(done.stdout.strip()).facts['class_names']) == 10

  done = run('--mode=export', workdir, cache, '--format=timm', f'--output={tmp_path}/timm')
  assert done.returncode == 0, done.stderr
  again = run('--mode=predict', f'--workdir={tmp_path}/timm', cache, picture)
  assert (again.returncode, again.stdout) == (0, labels), again.stderr

  page = tmp_path / 'page.html'
  done = run('--mode=report', folder, f'--output={page}')
  assert done.returncode == 0 and page.read_text().startswith('<!'), done.stderr

  before = sorted(path.name for path in folder.iterdir())
  done = run('--mode=inspect', workdir, '--topology=h100:4', cache)
  assert done.returncode == 0 and '4 x h100 (simulated)' in done.stdout, done.stderr
  assert sorted(path.name for path in folder.iterdir()) == before


def test_help_and_mistakes_come_at_once():
  start = time.perf_counter()
  done = run('--help')
  assert time.perf_counter() - start < 2  # 0.1 s on an idle machine
  assert done.returncode == 0 and 'Modes:' in done.stdout and 'Traceback' not in done.stderr
  start = time.perf_counter()
  done = run('--confg=configs/vit_digits.py')
  assert time.perf_counter() - start < 2
  assert done.returncode == 2 and 'Did you mean: config' in done.stderr


def test_without_arguments_the_configs_are_listed(capsys, monkeypatch):
  monkeypatch.chdir(ROOT)
  assert launch.main([]) == 2
  printed, complaint = capsys.readouterr()
  assert 'configs/vit_digits.py  ' in printed
  assert complaint.startswith('usage: python launch.py --config=') and complaint.count('\n') == 1


def test_what_was_given_is_no_escape_sequence(capsys):
  assert launch.main(['--nowhere\x1b[2J=1']) == 2
  assert '\x1b' not in capsys.readouterr().err


def test_debug_shows_the_traceback():
  with pytest.raises(UserError):
    launch.main(['--config=nowhere.py', '--debug'])
