"""What a training left can be used and evaluated: best step, averaged parameters."""

import json
import shutil

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab.errors import UserError
from vitlab.train import trained
from vitlab.train.run import train
from vitlab.workdir import checkpoint


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('runs') / 'digits')
  train(runs.config(checkpoint__best='test/accuracy'), folder, devices=jax.devices()[:1])
  return trained.load(folder)


def test_the_best_checkpoint_with_the_average_is_used(model):
  result = runs.result(model.workdir)
  assert model.step == result['best']['step']
  checkpoints = checkpoint.Checkpoints(f'{model.workdir}/checkpoints', read_only=True)
  stored = checkpoints.restore_arrays(('variables', 'ema'), model.step).state
  used = model.variables['model']['params']['head']['kernel']
  np.testing.assert_array_equal(used, stored['ema']['model']['params']['head']['kernel'])
  assert np.any(used != stored['variables']['model']['params']['head']['kernel'])


def test_of_equally_good_steps_the_latest_is_used(tmp_path):
  config = runs.config(
    optim__learning_rate=0.0, checkpoint__best='test/accuracy', checkpoint__keep=1
  )
  result = train(config, str(tmp_path), devices=jax.devices()[:1])
  assert len({row['test/accuracy'] for row in runs.rows(tmp_path) if 'test/accuracy' in row}) == 1
  assert result['best']['step'] == trained.load(str(tmp_path)).step == 20


def test_evaluation_finds_what_the_training_found(model, tmp_path, capsys):
  output = tmp_path / 'metrics.json'
  metrics = trained.evaluate(model.workdir, model.config, str(output))
  logged = next(row for row in runs.rows(model.workdir) if row['step'] == model.step)
  for name, value in metrics.items():
    assert value == pytest.approx(logged[name], abs=1e-6)
  assert json.loads(output.read_text()) == metrics
  assert 'test/accuracy' in capsys.readouterr().out


def test_a_workdir_without_a_run_or_checkpoint_is_refused(model, tmp_path):
  with pytest.raises(UserError, match='holds no run'):
    trained.load(str(tmp_path))
  copy = tmp_path / 'copy'
  shutil.copytree(model.workdir, copy, ignore=shutil.ignore_patterns('checkpoints'))
  with pytest.raises(UserError, match='holds no checkpoint yet'):
    trained.load(str(copy))


def test_another_model_is_not_evaluated(model):
  config = runs.config(model__width=16)
  with pytest.raises(UserError, match='not the one in workdir'):
    trained.evaluate(model.workdir, config)


def test_data_that_have_changed_are_evaluated_with_a_word(model, tmp_path, caplog):
  trained.evaluate(model.workdir, model.config)
  assert not caplog.records
  shutil.copytree(model.workdir, tmp_path / 'run')
  facts = json.loads((tmp_path / 'run' / 'facts.json').read_text())
  facts['splits']['test'] = dict(examples=358, digest='0' * 16)
  (tmp_path / 'run' / 'facts.json').write_text(json.dumps(facts))
  trained.evaluate(str(tmp_path / 'run'), model.config)
  assert [r.message for r in caplog.records] == [
    f'{tmp_path}/run: its data have changed: test: 360 examples were 358'
  ]
