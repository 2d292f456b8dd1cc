"""Evaluation of what a training has left."""

import json
import shutil

import jax
import pytest
from _helpers import runs

from vitlab.errors import UserError
from vitlab.predict import evaluation, trained
from vitlab.train.run import train


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('runs') / 'digits')
  train(runs.config(checkpoint__best='test/accuracy'), folder, devices=jax.devices()[:1])
  return trained.load(folder)


def test_evaluation_finds_what_the_training_found(model, tmp_path, capsys):
  output = tmp_path / 'metrics.json'
  metrics = evaluation.evaluate(model.workdir, model.config, str(output))
  logged = next(row for row in runs.rows(model.workdir) if row['step'] == model.step)
  for name, value in metrics.items():
    assert value == pytest.approx(logged[name], abs=1e-6)
  assert json.loads(output.read_text()) == metrics
  assert 'test/accuracy' in capsys.readouterr().out


def test_another_model_is_not_evaluated(model):
  config = runs.config(model__width=16)
  with pytest.raises(UserError, match='not the one in workdir'):
    evaluation.evaluate(model.workdir, config)


def test_data_that_have_changed_are_evaluated_with_a_word(model, tmp_path, caplog):
  evaluation.evaluate(model.workdir, model.config)
  assert not caplog.records
  shutil.copytree(model.workdir, tmp_path / 'run')
  facts = json.loads((tmp_path / 'run' / 'facts.json').read_text())
  facts['splits']['test'] = dict(examples=358, digest='0' * 16)
  (tmp_path / 'run' / 'facts.json').write_text(json.dumps(facts))
  evaluation.evaluate(str(tmp_path / 'run'), model.config)
  assert [r.message for r in caplog.records] == [
    f'{tmp_path}/run: its data have changed: test: 360 examples were 358'
  ]
