"""Runs of earlier versions go on: they continue, evaluate, predict, export and compare as before.

The numbers are those of the commit that made the runs (tests/old_runs/README.md).
"""

import json
import pathlib
import zipfile

import numpy as np
import pytest
from _helpers import runs
from PIL import Image
from sklearn.datasets import load_digits

import launch
from vitlab.cli import command_line

ROOT = pathlib.Path(__file__).parents[1]
COMMON = [
  '--config.model.depth=1',
  '--config.model.num_heads=2',
  '--config.duration=60steps',
  '--config.checkpoint.every=20steps',
  '--config.checkpoint.keep=1',
  '--config.log_every=10steps',
  '--config.batch_size=32',
]
COMMANDS = {
  'digits': [
    '--config=configs/vit_digits.py:smoke',
    *COMMON,
    '--config.model.width=16',
    '--config.model.mlp_dim=16',
  ],
  'reverse': [
    '--config=configs/seq2seq_reverse.py:model=transformer,smoke',
    *COMMON,
    '--config.model.width=8',
    '--config.model.mlp_dim=8',
    '--config.optim.learning_rate=0.01',
    '--config.data.train=200',
    '--config.data.test=40',
    '--config.checkpoint.best=',
  ],
}
EVALUATED = {
  'digits': {'test/accuracy': 0.21944444, 'test/loss': 2.1817651, 'test/ece': 0.09116120},
  'reverse': {'test/accuracy': 0.0, 'test/loss': 2.1487263, 'test/token_accuracy': 0.29239766},
}
FINISHED = {
  'digits': {'train/loss': 2.1122590, 'test/loss': 2.0763541},
  'reverse': {'train/loss': 2.0431297, 'test/loss': 2.1051223},
}
LABELS = [
  {'0': 0.12839645, '3': 0.11756791, '5': 0.11257213, '9': 0.11031363, '8': 0.10828538},
  {'1': 0.13676862, '7': 0.12675734, '4': 0.12197739, '2': 0.11168578, '5': 0.09701979},
]


@pytest.fixture(scope='module')
def stopped(tmp_path_factory):
  folder = tmp_path_factory.mktemp('old')
  with zipfile.ZipFile(ROOT / 'tests' / 'old_runs' / 'runs.zip') as archive:
    archive.extractall(folder)
  return folder


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)
  monkeypatch.chdir(ROOT)


def _launch(*arguments):
  assert launch.main([str(argument) for argument in arguments]) == 0


@pytest.mark.parametrize('name', COMMANDS)
def test_an_old_run_is_evaluated_as_before(stopped, tmp_path, name):
  _launch('--mode=eval', f'--workdir={stopped / name}', f'--output={tmp_path / "found.json"}')
  found = json.loads((tmp_path / 'found.json').read_text())
  assert {key: found[key] for key in EVALUATED[name]} == pytest.approx(EVALUATED[name], abs=1e-5)


def test_an_old_classifier_labels_and_is_exported_as_before(stopped, tmp_path):
  pictures = load_digits().images[:2] * 255 / 16
  for number, picture in enumerate(pictures.astype(np.uint8)):
    Image.fromarray(picture).save(tmp_path / f'{number}.png')
  workdir, output = f'--workdir={stopped / "digits"}', tmp_path / 'found.jsonl'
  _launch('--mode=predict', workdir, f'--output={output}', tmp_path / '0.png', tmp_path / '1.png')
  for line, wanted in zip(output.read_text().splitlines(), LABELS, strict=True):
    found = {one['class']: one['probability'] for one in json.loads(line)['top']}
    assert found == pytest.approx(wanted, abs=1e-5)
  _launch('--mode=export', workdir, f'--output={tmp_path / "model.stablehlo"}')
  assert (tmp_path / 'model.stablehlo').stat().st_size > 10_000


def test_an_old_translator_translates_as_before(stopped, tmp_path):
  (tmp_path / 'lines.txt').write_text('1 2 3\n4 5\n')
  output = tmp_path / 'found.jsonl'
  _launch(
    '--mode=predict',
    f'--workdir={stopped / "reverse"}',
    f'--output={output}',
    tmp_path / 'lines.txt',
  )
  best = [json.loads(line)['found'][0] for line in output.read_text().splitlines()]
  assert [one['text'] for one in best] == ['', '4 4']
  assert [one['score'] for one in best] == pytest.approx([-1.7931415, -3.7049191], abs=1e-4)


def test_old_runs_are_compared(stopped, tmp_path):
  page = tmp_path / 'page.html'
  _launch('--mode=report', f'--output={page}', stopped / 'digits', stopped / 'reverse')
  assert 'digits' in page.read_text() and 'reverse' in page.read_text()


@pytest.mark.parametrize('name', COMMANDS)
def test_the_same_command_continues_an_old_run_to_the_same_numbers(tmp_path, name):
  with zipfile.ZipFile(ROOT / 'tests' / 'old_runs' / 'runs.zip') as archive:
    archive.extractall(tmp_path)
  _launch(*COMMANDS[name], f'--workdir={tmp_path / name}')
  rows = runs.rows(tmp_path / name)
  assert [row['step'] for row in rows] == [10, 15, 20, 30, 40, 45, 50, 60]
  assert {key: rows[-1][key] for key in FINISHED[name]} == pytest.approx(FINISHED[name], rel=1e-4)
