"""A new kind of learning touches no file of vitlab: tests/kinds/README.md."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from _helpers import kinds, runs
from PIL import Image

import launch
from vitlab import names
from vitlab.cli import command_line, config_file
from vitlab.predict import stablehlo
from vitlab.train import run as training
from vitlab.workdir.checkpoint import Checkpoints

ONE = jax.devices()[:1]
LEARNED = {
  'letters': ('test/perplexity', 1.2, 2.5),
  'localization': ('test/mean_iou', 0.38, 1.0),
  'game': ('test/distance', 0.0, 1.2),
  'stream': ('test/error', 0.0, 2.0),
  'regression': ('test/mean_absolute_error', 0.0, 30.0),
}
every_kind = pytest.mark.parametrize('kind', kinds.KINDS)


@pytest.fixture(scope='module', autouse=True)
def beside_those_of_vitlab():
  for kind in kinds.KINDS:
    kinds.add(kind)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)


def config(kind, **changes):
  found = config_file.load(str(kinds.FOLDER / kind / 'config.py'))
  with found.unlocked():
    for key, value in changes.items():
      found[key] = value
  return found


def train(kind, folder, devices=ONE, **changes):
  return training.train(config(kind, **changes), str(folder), devices=devices)


def parameters(folder):
  """All variables of the newest checkpoint, by name."""
  checkpoints = Checkpoints(folder / 'checkpoints', read_only=True)
  found = checkpoints.restore_arrays(('variables',), checkpoints.steps()[-1])
  return {name: np.asarray(x) for name, x in names.flatten(found.state['variables']).items()}


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """kind -> the workdir of a run on one device, trained once."""
  folder, results = tmp_path_factory.mktemp('kinds'), {}

  def of(kind):
    if kind not in results:
      results[kind] = train(kind, folder / kind)
    return folder / kind, results[kind]

  return of


@pytest.fixture(scope='module')
def short(tmp_path_factory):
  """kind -> all variables after a few steps on one device, trained once."""
  folder = tmp_path_factory.mktemp('short')

  @functools.cache
  def of(kind):
    train(kind, folder / kind, duration='6 steps')
    return parameters(folder / kind)

  return of


@every_kind
def test_it_learns_and_is_evaluated(kind, finished, tmp_path, capsys):
  folder, result = finished(kind)
  name, low, high = LEARNED[kind]
  assert low <= result['metrics'][name] <= high
  output = tmp_path / 'metrics.json'
  assert launch.main(['--mode=eval', f'--workdir={folder}', f'--output={output}']) == 0
  assert json.loads(output.read_text())[name] == pytest.approx(result['metrics'][name], rel=0.3)
  assert name in capsys.readouterr().out


@every_kind
def test_eight_devices_do_what_one_does(kind, short, tmp_path):
  train(kind, tmp_path / 'many', devices=jax.devices()[:8], duration='6 steps')
  one, many = short(kind), parameters(tmp_path / 'many')
  assert one.keys() == many.keys()
  for name in one:
    np.testing.assert_allclose(many[name], one[name], atol=2e-4, err_msg=name)


@pytest.mark.parametrize('kind', ['letters', 'localization', 'stream', 'regression'])
def test_microbatches_do_what_the_whole_batch_does(kind, short, tmp_path):
  train(kind, tmp_path / 'many', duration='6 steps', microbatches=2)
  one, many = short(kind), parameters(tmp_path / 'many')
  for name in one:
    np.testing.assert_allclose(many[name], one[name], atol=2e-4, err_msg=name)


def test_a_game_has_microbatches_whose_noise_is_their_own(tmp_path):
  name, _, high = LEARNED['game']
  assert train('game', tmp_path / 'run', microbatches=2)['metrics'][name] <= high
  assert parameters(tmp_path / 'run')['discriminator/turns/count'] == 120


def test_a_memory_is_no_part_of_the_model_that_is_evaluated(finished, tmp_path):
  """It has as many rows as a batch of the training; here they are fewer."""
  folder, result = finished('stream')
  output = tmp_path / 'metrics.json'
  flags = ['--mode=eval', f'--workdir={folder}', f'--output={output}', '--config.batch_size=8']
  assert launch.main(flags) == 0
  found = json.loads(output.read_text())['test/error']
  assert found == pytest.approx(result['metrics']['test/error'], rel=1e-4)


def test_players_have_metrics_of_their_own(finished):
  folder, _ = finished('game')
  row = runs.rows(folder)[-1]
  wanted = {'loss', 'grad_norm', 'learning_rate'}
  assert {
    f'train/{player}_{name}' for player in ('discriminator', 'generator') for name in wanted
  } <= set(row)


@every_kind
def test_killed_and_resumed_it_ends_in_the_same_bits(kind, finished, tmp_path):
  folder, undisturbed = tmp_path / 'run', tmp_path / 'undisturbed'
  # A row is owed at the checkpoint; more of both would only be more to write.
  often = {'checkpoint.every': '15 steps', 'log_every': '2 steps'}
  command = [sys.executable, kinds.__file__, kind, json.dumps(often)]
  environ = os.environ | {'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '1'}
  process = subprocess.Popen([*command, folder], env=environ, stdout=subprocess.DEVNULL)
  while not [path for path in folder.glob('checkpoints/*') if path.name.isdigit()]:
    assert process.poll() is None
    time.sleep(0.01)
  process.send_signal(signal.SIGKILL)
  process.wait()
  assert not (folder / 'result.json').exists()
  done = subprocess.run(
    [*command, folder, undisturbed], env=environ, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert runs.result(folder) == runs.result(undisturbed)
  assert runs.rows(folder) == runs.rows(undisturbed)


@every_kind
def test_its_page(kind, finished, tmp_path, caplog):
  folder, _ = finished(kind)
  page = tmp_path / 'page.html'
  assert launch.main(['--mode=report', f'--output={page}', str(folder)]) == 0
  title = dict(letters='Surprise by place', localization='Boxes', game='Samples').get(kind)
  assert '<h2>Curves' in page.read_text() and '<h2>Mistakes' not in page.read_text()
  assert title is None or f'<h2>{title}' in page.read_text()
  assert kind != 'localization' or page.read_text().count('<img') == 4
  assert ('function errors(figure' in page.read_text()) == (kind == 'regression')
  assert 'function confusion(figure' not in page.read_text()
  assert not caplog.records
  assert launch.main(['--mode=report', f'--output={page}', str(folder), str(folder.parent)]) == 0


def predicted(capsys, folder, *inputs):
  capsys.readouterr()  # of the training, if this test was the first to need it
  assert launch.main(['--mode=predict', f'--workdir={folder}', *map(str, inputs)]) == 0
  return capsys.readouterr().out.splitlines()


def test_a_language_model_goes_on(finished, tmp_path, capsys):
  (tmp_path / 'lines.txt').write_text('abc\ndef\n')
  lines = predicted(capsys, finished('letters')[0], tmp_path / 'lines.txt')
  assert lines == ['abcdefg', 'defghab']


def test_a_detector_finds(finished, tmp_path, capsys):
  picture = np.full((12, 12), 128, np.uint8)
  picture[4:9, 2:8] = 255
  Image.fromarray(picture).save(tmp_path / 'one.png')
  (line,) = map(json.loads, predicted(capsys, finished('localization')[0], tmp_path / 'one.png'))
  assert line['name'] == 'bright'
  np.testing.assert_allclose(line['box'], np.array([2, 4, 8, 9]) / 12, atol=0.25)


def test_a_generator_draws_the_same_samples_whatever_the_batch(finished, capsys):
  folder, _ = finished('game')
  four, eight = predicted(capsys, folder), predicted(capsys, folder, '8')
  assert eight[:4] == four and len(set(eight)) == 8


def test_what_a_kind_does_not_have_is_said_in_a_line(finished, capsys):
  folder, _ = finished('stream')
  for mode in ('predict', 'export'):
    assert launch.main([f'--mode={mode}', f'--workdir={folder}']) == 2
    assert 'stream' in capsys.readouterr().err


def test_a_language_model_is_exported(finished, tmp_path):
  folder, _ = finished('letters')
  path = tmp_path / 'model.stablehlo'
  assert launch.main(['--mode=export', f'--workdir={folder}', f'--output={path}']) == 0
  loaded = stablehlo.load(path)
  rows = np.arange(12, dtype=np.int32)[None] % 8
  assert int(np.asarray(loaded(rows))[0]) == 4
