"""What a run has left of its model, read without the code that makes it."""

import shutil

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab import workdir
from vitlab.errors import UserError
from vitlab.train.run import train
from vitlab.workdir import model as model_lib
from vitlab.workdir.checkpoint import Checkpoints


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('runs') / 'digits')
  config = runs.config(checkpoint__keep=3, checkpoint__best='')
  train(config, folder, devices=jax.devices()[:1])
  return folder


def test_the_newest_checkpoint_with_the_averages_is_read(run):
  assert model_lib.is_run(run)
  step, facts, variables = model_lib.load(run, workdir.stored_config(run))
  assert step == 20 and facts['num_classes'] == 10
  state = Checkpoints(f'{run}/checkpoints', read_only=True).restore_arrays(('ema',), 20).state
  kernel = variables['model']['params']['head']['kernel']
  np.testing.assert_array_equal(kernel, state['ema']['model']['params']['head']['kernel'])


def test_the_mean_of_the_last_checkpoints(run):
  config = workdir.stored_config(run)
  _, _, variables = model_lib.load(run, config, average=3)
  checkpoints = Checkpoints(f'{run}/checkpoints', read_only=True)
  kernels = [
    checkpoints.restore_arrays(('ema',), step).state['ema']['model']['params']['head']['kernel']
    for step in checkpoints.steps()
  ]
  assert len(kernels) == 3
  kernel = variables['model']['params']['head']['kernel']
  np.testing.assert_allclose(kernel, np.mean(kernels, axis=0), rtol=1e-6, atol=1e-8)
  with pytest.raises(UserError, match='--average=9: .* holds 3 checkpoints'):
    model_lib.load(run, config, average=9)


def test_moments_are_spread_over_the_checkpoints_and_skip_damaged_ones(run, tmp_path):
  def kernels(folder, most):
    return {
      step: np.asarray(variables['model']['params']['head']['kernel'])
      for step, variables in model_lib.moments(str(folder), most)
    }

  found = kernels(run, 9)
  assert list(found) == [10, 15, 20] and list(kernels(run, 2)) == [10, 20]
  assert list(kernels(run, 1)) == [20] and not kernels(tmp_path, 3)
  _, _, last = model_lib.load(run, workdir.stored_config(run))
  np.testing.assert_array_equal(found[20], last['model']['params']['head']['kernel'])
  assert np.any(found[15] != found[20])
  copy = tmp_path / 'copy'
  shutil.copytree(run, copy)
  for file in (copy / 'checkpoints' / '15').rglob('*'):
    if file.is_file():
      file.write_bytes(b'')
  assert list(kernels(copy, 9)) == [10, 20]
