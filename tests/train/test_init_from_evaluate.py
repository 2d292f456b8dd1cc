"""--mode=eval of published weights with any config of a training: they say what they are."""

import json

import pytest
from _helpers import photos, published

import launch
from vitlab.cli import command_line
from vitlab.pretrained import source


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  folder = tmp_path_factory.mktemp('weights')
  model = published.timm_vit()
  published.save_timm(folder / 'timm', model)
  kinds = dict(zip(published.CLASSES, ('red', 'blue', 'green', 'red', 'blue')))
  photos.write(folder / 'photos', **kinds)
  return folder


def evaluate(root, monkeypatch, tmp_path, *more):
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)
  output = tmp_path / 'metrics.json'
  config = f'--config=configs/vit_folder.py:path={root}/photos,size=64'
  arguments = ['--mode=eval', config, f'--workdir={root}/timm', f'--output={output}']
  arguments += ['--config.batch_size=8', *more]
  status = launch.main(arguments)
  return status, output


def test_a_config_of_another_model_evaluates_them(root, monkeypatch, tmp_path, capsys):
  read, whole = [], source.read_files
  monkeypatch.setattr(source, 'read_files', lambda path: read.append(path) or whole(path))
  status, output = evaluate(root, monkeypatch, tmp_path)
  assert not status, capsys.readouterr().err
  assert 0 <= json.loads(output.read_text())['test/accuracy'] <= 1
  assert read == [f'{root}/timm']  # and hashed, once


def test_what_the_command_line_says_of_the_model_is_refused(root, monkeypatch, tmp_path, capsys):
  status, output = evaluate(root, monkeypatch, tmp_path, '--config.model.pool=gap')
  assert status == 2 and not output.exists()
  assert 'contradicts the weights' in capsys.readouterr().err
