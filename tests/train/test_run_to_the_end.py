"""A run is its config: however often it is stopped, it ends in the same bits and the same rows."""

import functools
import json
import logging
import shutil

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab import names, workdir
from vitlab.errors import UserError
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.train import loop, run, setup
from vitlab.train.meter import Diverged
from vitlab.workdir.checkpoint import CheckpointError, Checkpoints

ONE = jax.devices()[:1]


def _train(folder, devices=ONE, **overrides):
  return run.train(runs.config(**overrides), str(folder), devices=devices)


def _stop_at(monkeypatch, step):
  """Behaves as if SIGTERM had come before this step."""
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= step)


def _state(folder, **overrides):
  """The step of the newest checkpoint and all its arrays by name."""
  abstract = setup.build(runs.config(**overrides), ONE).abstract_state
  restored = Checkpoints(folder / 'checkpoints', read_only=True).restore(abstract)
  return restored.step, {k: np.asarray(x) for k, x in names.flatten(restored.state).items()}


@pytest.fixture(scope='module', autouse=True)
def built_once():
  """Runs of the same config share what is compiled: an experiment has no state."""
  build = setup.build
  cached = functools.cache(lambda text, devices: build(configs[text], devices))
  configs = {}

  def build_once(config, devices=None, sources=None):
    assert not sources
    text = config.to_json()
    configs[text] = config
    return cached(text, None if devices is None else tuple(devices))

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(setup, 'build', build_once)
    yield


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'undisturbed'
  _train(folder)
  return folder


def test_what_a_run_leaves_behind(undisturbed):
  files = {path.name for path in undisturbed.iterdir()}
  assert {'config.json', 'facts.json', 'metrics.jsonl', 'result.json'} <= files
  assert any(name.startswith('events.out.') for name in files)
  facts = json.loads((undisturbed / 'facts.json').read_text())
  assert facts['num_classes'] == 10
  assert workdir.read_details(undisturbed, 'test')['confusion'].sum() == 360
  found = json.loads((undisturbed / 'result.json').read_text())
  assert found['steps'] == 20 and found['seconds'] > 0 and found['seconds_to_first_step'] > 0
  assert found['examples_per_second'] > 0 and 0 <= found['data_wait'] <= 1
  assert found['versions']['jax'] == jax.__version__
  assert found['device'] and found['parameters'] > 100
  assert found['best']['metric'] == 'test/accuracy'


def test_rows(undisturbed):
  rows = runs.rows(undisturbed)
  assert [row['step'] for row in rows] == [4, 6, 8, 12, 16, 18, 20]
  evaluated = [row['step'] for row in rows if 'test/accuracy' in row]
  assert evaluated == [6, 12, 18, 20]
  for row in rows:
    assert {'train/loss', 'train/accuracy', 'train/grad_norm', 'train/learning_rate'} <= set(row)
  assert rows[1]['train/learning_rate'] == pytest.approx(1e-2, rel=0.2)
  assert runs.result(undisturbed)['metrics'] == {k: x for k, x in rows[-1].items() if k != 'step'}


def test_the_best_checkpoint_is_kept(undisturbed):
  rows = [row for row in runs.rows(undisturbed) if 'test/accuracy' in row]
  best = max(rows, key=lambda row: (row['test/accuracy'], row['step']))  # the latest of equals
  found = runs.result(undisturbed)['best']
  assert (found['step'], found['value']) == (best['step'], best['test/accuracy'])
  assert best['step'] in Checkpoints(undisturbed / 'checkpoints', read_only=True).steps()


@pytest.mark.parametrize('stops', [(7,), (5, 6, 19)], ids=str)
def test_stopped_and_continued_is_never_stopped(tmp_path, undisturbed, monkeypatch, stops):
  for step in stops:
    _stop_at(monkeypatch, step)
    with pytest.raises(Preempted) as stopped:
      _train(tmp_path / 'run')
    assert stopped.value.code == 75
    assert not (tmp_path / 'run' / 'result.json').exists()
  monkeypatch.undo()
  _train(tmp_path / 'run')
  assert runs.rows(tmp_path / 'run') == runs.rows(undisturbed)
  assert runs.result(tmp_path / 'run') == runs.result(undisturbed)
  (step, state), (wanted_step, wanted) = _state(tmp_path / 'run'), _state(undisturbed)
  assert step == wanted_step and state.keys() == wanted.keys()
  for name, array in wanted.items():
    np.testing.assert_array_equal(state[name], array, err_msg=name)


def test_stopped_within_an_evaluation(tmp_path, undisturbed, monkeypatch):
  asked = iter([False] * 15 + [True] * 1000)  # 12 batches each evaluation: in the second one
  monkeypatch.setattr(preemption.StopSignal, 'asked', lambda self: next(asked))
  with pytest.raises(Preempted):
    _train(tmp_path / 'run')
  assert runs.rows(tmp_path / 'run')[-1]['step'] == 8
  monkeypatch.undo()
  _train(tmp_path / 'run')
  assert runs.rows(tmp_path / 'run') == runs.rows(undisturbed)
  assert runs.result(tmp_path / 'run') == runs.result(undisturbed)


def test_killed_between_a_row_and_its_checkpoint(tmp_path, undisturbed, monkeypatch):
  class Killed(BaseException):
    pass

  save = loop.Session._save

  def die_at_15(self, needed=False):
    if self.step == 15:
      raise Killed
    save(self, needed)

  monkeypatch.setattr(loop.Session, '_save', die_at_15)
  with pytest.raises(Killed):
    _train(tmp_path / 'run')
  monkeypatch.undo()
  _train(tmp_path / 'run')
  assert runs.rows(tmp_path / 'run') == runs.rows(undisturbed)
  assert runs.result(tmp_path / 'run') == runs.result(undisturbed)


def test_a_finished_run_says_so(undisturbed, capsys, monkeypatch):
  monkeypatch.setattr(setup, 'build', None)  # nothing is built for it
  again = _train(undisturbed)
  assert again == json.loads((undisturbed / 'result.json').read_text())
  printed = capsys.readouterr().out
  assert 'already finished' in printed and str(undisturbed) in printed


def test_free_keys_change_no_parameter(tmp_path, undisturbed):
  _train(tmp_path / 'run', log_every='3 steps', checkpoint__every='50%', checkpoint__keep=1)
  assert runs.result(tmp_path / 'run')['fingerprint'] == runs.result(undisturbed)['fingerprint']


def test_another_config_is_refused(undisturbed):
  with pytest.raises(UserError, match=r'model\.width 8 -> 16'):
    _train(undisturbed, model__width=16)


def test_a_bad_config_leaves_no_workdir(tmp_path):
  with pytest.raises(UserError):
    _train(tmp_path / 'run', model__num_heads=3)
  assert not (tmp_path / 'run').exists()


def test_divergence_names_the_step_and_saves_nothing_bad(tmp_path):
  options = dict(optim__name='sgd', optim__learning_rate=1e38, checkpoint__every='1 steps')
  with pytest.raises(Diverged, match=r'diverged at step \d+') as error:
    _train(tmp_path / 'run', **options)
  assert len(str(error.value).splitlines()) <= 3
  step, state = _state(tmp_path / 'run', **options)
  assert f'step {step + 1}:' in str(error.value)
  assert all(np.isfinite(array).all() for array in state.values())


def test_a_failing_report_is_a_warning(caplog, tmp_path):
  def report(folder):
    assert (folder / 'result.json').exists()
    raise RuntimeError('no ink')

  run.train(runs.config(), str(tmp_path), devices=ONE, report=report)
  assert 'no ink' in caplog.text


def _fail_to_evaluate(monkeypatch, times):
  """Evaluators fail so many times."""
  evaluate, left = loop.evaluate, iter(range(times))

  def maybe(*args, **options):
    if next(left, None) is not None:
      raise ZeroDivisionError('no such number')
    return evaluate(*args, **options)

  monkeypatch.setattr(loop, 'evaluate', maybe)


def test_a_failing_evaluator_is_a_warning(tmp_path, caplog, monkeypatch):
  _fail_to_evaluate(monkeypatch, times=3)  # after steps 6, 12 and 18, and not after 20
  result = _train(tmp_path)
  assert caplog.text.count('evaluator test failed at step') == 3 and 'no such number' in caplog.text
  assert 'test/accuracy' in result['metrics']


def test_an_evaluator_that_fails_after_the_last_step_is_an_error(tmp_path, monkeypatch):
  """Nobody who starts a run by a program sees warnings. Mended, it only owes the last row."""
  whole = _train(tmp_path / 'whole', evaluators__test__every='100%')
  _fail_to_evaluate(monkeypatch, times=2)
  for _ in range(2):
    with pytest.raises(
      UserError, match="step: 'test'; .* ZeroDivisionError: no such number"
    ) as error:
      _train(tmp_path / 'run', evaluators__test__every='100%')
    assert len(str(error.value).splitlines()) <= 3
  assert not (tmp_path / 'run' / 'result.json').exists()
  monkeypatch.setattr(loop.Session, '_take_step', None)
  found = _train(tmp_path / 'run', evaluators__test__every='100%')
  assert (found['metrics'], found['best']) == (whole['metrics'], whole['best'])
  assert runs.rows(tmp_path / 'run') == runs.rows(tmp_path / 'whole')


def test_a_best_metric_that_nobody_gives_is_said_at_the_first_evaluation(tmp_path):
  with pytest.raises(UserError, match="checkpoint.best 'test/acuracy': did you mean test/accuracy"):
    _train(tmp_path, checkpoint__best='test/acuracy')
  assert [row['step'] for row in workdir.read_metrics(tmp_path)] == [4]


def _refuse_checkpoint(monkeypatch, refused):
  save = Checkpoints.save

  def maybe(self, step, *rest):
    if step in refused:
      raise CheckpointError('the disk is full')
    return save(self, step, *rest)

  monkeypatch.setattr(Checkpoints, 'save', maybe)


def test_a_failing_checkpoint_is_a_warning(tmp_path, caplog, monkeypatch):
  _refuse_checkpoint(monkeypatch, {5})
  with caplog.at_level(logging.WARNING):
    _train(tmp_path)
  assert 'the disk is full' in caplog.text
  assert Checkpoints(tmp_path / 'checkpoints', read_only=True).steps()[-1] == 20


def test_a_failing_last_checkpoint_is_an_error(tmp_path, monkeypatch):
  _refuse_checkpoint(monkeypatch, {20})
  with pytest.raises(CheckpointError):
    _train(tmp_path)
  assert not (tmp_path / 'result.json').exists()
  monkeypatch.undo()
  assert _train(tmp_path)['steps'] == 20


def test_a_disk_without_space_is_refused_before_the_start(tmp_path, monkeypatch):
  usage = type('Usage', (), {'free': 100})
  monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage)
  with pytest.raises(UserError, match='free'):
    _train(tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_eight_devices_train_alike(tmp_path, undisturbed):
  _train(tmp_path / 'run', devices=None, mesh=dict(data=2, fsdp=2, model=2))
  for row, wanted in zip(runs.rows(tmp_path / 'run'), runs.rows(undisturbed), strict=True):
    assert row['train/loss'] == pytest.approx(wanted['train/loss'], abs=1e-4)
