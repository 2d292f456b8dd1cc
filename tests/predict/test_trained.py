"""What a training left can be used and evaluated: best step, averaged parameters."""

import shutil

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab.errors import UserError
from vitlab.predict import trained
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


def test_a_workdir_without_a_run_or_checkpoint_is_refused(model, tmp_path):
  with pytest.raises(UserError, match='holds no run'):
    trained.load(str(tmp_path))
  copy = tmp_path / 'copy'
  shutil.copytree(model.workdir, copy, ignore=shutil.ignore_patterns('checkpoints'))
  with pytest.raises(UserError, match='holds no checkpoint yet'):
    trained.load(str(copy))
