"""Runs of a Reformer: continued to the bit, and evaluated by other rounds of hashing."""

import pathlib

import jax
import pytest
from _helpers import runs

from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.predict import evaluation, trained
from vitlab.train.run import train

CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'reformer_duplication.py'
ONE = jax.devices()[:1]


def config(*overrides):
  few = ('duration=60 steps', 'log_every=2 steps', 'model.dropout_rate=0.1', 'model.depth=2')
  flags = [f'--config.{text}' for text in (*few, *overrides)]
  return config_file.load(f'{CONFIG}:smoke,hashes=2', flags)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'whole'
  train(config(), str(folder), devices=ONE)
  return folder


def test_a_stopped_run_continues_to_the_same_bits(whole, tmp_path, monkeypatch):
  """In the middle of an epoch: dropout and hashes are drawn by the step."""
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 31)
  with pytest.raises(Preempted):
    train(config(), str(tmp_path / 'run'), devices=ONE)
  monkeypatch.undo()
  train(config(), str(tmp_path / 'run'), devices=ONE)
  assert runs.rows(tmp_path / 'run') == runs.rows(whole)
  assert runs.result(tmp_path / 'run') == runs.result(whole)


def test_it_is_evaluated_with_other_rounds_and_with_full_attention(whole, tmp_path):
  ways = ('model.num_hashes=2', 'model.num_hashes=1', "model.attn_layers=('full',)")
  found = [evaluation.evaluate(str(whole), config(way))['test/loss'] for way in ways]
  assert len({*found}) == 3
  newest = trained.load(str(whole)).step
  (row,) = [row for row in runs.rows(whole) if row['step'] == newest and 'test/loss' in row]
  assert found[0] == pytest.approx(row['test/loss'], abs=1e-6)


@pytest.mark.parametrize('way', ['model.width=16', "model.attn_layers=('local',)"])
def test_another_model_is_not_evaluated(way, whole):
  with pytest.raises(UserError, match='not the one in workdir'):
    evaluation.evaluate(str(whole), config(way))
