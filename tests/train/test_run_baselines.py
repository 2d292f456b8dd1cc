"""At its end a run knows what takes no training, and says so where it is worse."""

import json

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab.evaluators import _raw_pixels
from vitlab.report import page
from vitlab.train import run

ONE = jax.devices()[:1]


def train(folder, **overrides):
  shorter = dict(duration='3 steps', evaluators__test__every='3 steps', checkpoint__every='100%')
  result = run.train(runs.config(**(shorter | overrides)), str(folder), devices=ONE)
  assert json.loads((folder / 'result.json').read_text())['baselines'] == result['baselines']
  return result


@pytest.fixture
def snow(tmp_path):
  """Darker and brighter snow: the mean tells them apart, single pixels hardly."""
  rng, arrays = np.random.default_rng(0), {}
  for split, count in (('train', 256), ('test', 64)):
    label = np.arange(count) % 2
    white = rng.random((count, 16, 16)) < 0.44 + 0.12 * label[:, None, None]
    arrays |= {f'{split}_image': np.uint8(255 * white), f'{split}_label': label}
  np.savez(tmp_path / 'snow.npz', **arrays)
  return dict(name='arrays', path=str(tmp_path / 'snow.npz'))


def test_a_run_below_nearest_neighbours_says_so(tmp_path, capsys):
  result = train(tmp_path)
  guesses = result['baselines']['test/accuracy']
  assert guesses['nearest_neighbours'] > 0.95 > result['metrics']['test/accuracy']
  worse, done = capsys.readouterr().out.splitlines()[-2:]
  assert 'is below what takes no training: nearest neighbours 9' in worse and done.startswith(
    'done'
  )
  text = page.write([tmp_path]).read_text()
  assert worse in text and 'baseline: nearest neighbours 9' in text


def test_a_run_above_them_does_not(tmp_path, capsys, snow):
  options = dict(duration='40 steps', evaluators__test__every='40 steps')
  result = train(tmp_path / 'run', data=snow, optim__learning_rate=3e-2, **options)
  assert result['metrics']['test/accuracy'] > max(result['baselines']['test/accuracy'].values())
  assert 'takes no training' not in capsys.readouterr().out
  text = page.write([tmp_path / 'run']).read_text()
  assert 'takes no training' not in text and 'baseline: nearest neighbours' in text


def test_nothing_is_measured_on_what_was_trained_on(tmp_path):
  assert train(tmp_path, evaluators__test__split='train')['baselines'] == {}


def test_a_failure_ends_no_run(tmp_path, monkeypatch, caplog):
  def fail(*_):
    raise MemoryError('no room')

  monkeypatch.setattr(_raw_pixels, 'nearest', fail)
  assert train(tmp_path)['baselines'] == {}
  assert 'no baselines' in caplog.text and 'no room' in caplog.text
