"""What a run will take is planned from its compiled step, and said before it is run."""

import gc
import types
import weakref

import jax
import pytest
from _helpers import runs

from vitlab.train import init_from, loop, memory, run, setup

PROCESS = 50_000_000
LARGE = dict(model__variant='Ti/1', model__width=32, batch_size=256)


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
  """The process of the tests, with all they hold, is none of a run."""
  monkeypatch.setattr(memory.machine, 'resident_memory', lambda: PROCESS)


def _built(**overrides):
  return setup.build(runs.config(**LARGE | overrides), devices=jax.devices()[:1])


def _planned(experiment):
  return memory.plan(experiment, _analysis(experiment), experiment.abstract_batch, on_cpu=True)


def _analysis(experiment):
  step = experiment.train_step.lower(experiment.abstract_state, experiment.abstract_batch)
  return step.compile().memory_analysis()


@pytest.fixture(scope='module')
def experiment():
  return _built()


@pytest.fixture(scope='module')
def planned(experiment):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(memory.machine, 'resident_memory', lambda: PROCESS)
    return _planned(experiment)


def test_the_parts_of_a_plan_are_those_on_paper(experiment, planned):
  count = experiment.num_parameters['model']
  assert planned.process == PROCESS
  # AdamW and the average; and the checkpoints that are written beside the steps.
  assert 4 * 4 * count <= planned.state <= 4 * 4 * count + 64
  assert planned.checkpoint == 2 * planned.state
  example = 8 * 8 + 4 + 1  # image, label, mask
  assert planned.batches == 7 * 256 * example
  assert planned.peak == sum(planned)


def test_what_lies_on_the_host_does_not_count_for_an_accelerator(experiment, planned):
  analysis = _analysis(experiment)
  found = memory.plan(experiment, analysis, experiment.abstract_batch, on_cpu=False)
  assert (found.process, found.checkpoint) == (0, 0)
  assert found.batches == planned.batches * 5 / 7
  assert (found.state, found.temporaries) == (planned.state, planned.temporaries)


@pytest.mark.parametrize('settings', [dict(every=''), dict(every='20 steps')])
def test_a_checkpoint_at_the_end_is_beside_no_step(experiment, settings):
  config = runs.config(**LARGE, checkpoint__best='')
  config.checkpoint.update(settings)
  analysis = _analysis(experiment)
  built = setup.build(config, devices=jax.devices()[:1])
  assert memory.plan(built, analysis, built.abstract_batch, on_cpu=True).checkpoint == 0


def _settings(experiment, planned, limit):
  return [one.split('=') for one in memory.fitting(experiment, planned, limit)]


def test_what_is_recommended_fits_by_its_own_plan(experiment, planned):
  fixed = planned.state + planned.checkpoint + planned.process
  limit = round(fixed + 0.3 * (planned.peak - fixed))
  found = _settings(experiment, planned, limit)
  assert [name for name, _ in found] == ['microbatches', 'batch_size']
  for name, value in found:
    smaller = _planned(_built(**{name: int(value)}))
    assert smaller.peak <= limit
    assert smaller.peak > fixed + 0.4 * (limit - fixed)  # and it's not needlessly small


def test_where_nothing_helps_nothing_is_recommended(experiment, planned):
  limit = planned.state + planned.process
  assert _settings(experiment, planned, limit) == []
  assert 'a smaller model, or split' in memory._message(experiment, planned, limit)


def test_recommended_is_what_divides_the_batch_and_the_devices(planned):
  experiment = setup.build(runs.config(**LARGE | dict(batch_size=240, microbatches=2)))
  fixed = planned.state + planned.checkpoint + planned.process
  limit = round(fixed + 0.55 * (planned.peak - fixed))
  found = {name: int(value) for name, value in _settings(experiment, planned, limit)}
  assert found['microbatches'] == 5  # of 2 (it is), 3, 5, 6: 240 / 8 devices = 30
  assert found['batch_size'] % 16 == 0 and 100 < found['batch_size'] < 132


def _run(tmp_path, **overrides):
  config = runs.config(**LARGE | dict(duration='2 steps', evaluators={}, checkpoint__best=''))
  config.update(overrides)
  return run.train(config, str(tmp_path / 'run'), devices=jax.devices()[:1])


def test_a_run_that_will_not_fit_says_so_once_and_is_the_same(
  tmp_path, caplog, monkeypatch, planned
):
  limit = planned.peak - planned.checkpoint - planned.state - 1_000_000
  free = _run(tmp_path / 'free')
  assert not [record for record in caplog.records if 'fit' in record.message]
  monkeypatch.setattr(memory.machine, 'memory_limit', lambda: limit)
  # Of the process, the state is no second time.
  monkeypatch.setattr(memory.machine, 'resident_memory', lambda: PROCESS + planned.state)
  tight = _run(tmp_path / 'tight')
  (record,) = [record for record in caplog.records if 'fit' in record.message]
  first, second = record.message.splitlines()
  needed = planned.peak - planned.checkpoint
  assert f'needs {needed / 1e6:.4g} MB' in first and f'has {limit / 1e6:.4g} MB' in first
  assert '--config.microbatches=2 or --config.batch_size=2' in second
  assert tight['fingerprint'] == free['fingerprint']


def test_looking_costs_no_second_compilation(tmp_path, caplog):
  with jax.log_compiles():
    _run(tmp_path)
  compiled = [r.message for r in caplog.records if 'Finished XLA compilation' in r.message]
  assert len([message for message in compiled if 'train_step' in message]) == 1


def test_weights_to_start_from_are_in_the_state_and_nowhere_else(tmp_path, monkeypatch):
  _run(tmp_path / 'first')
  find, go, held, during = init_from.find, loop.Session.run, [], []

  def watched(*arguments):
    sources = find(*arguments)
    held.extend(weakref.ref(source.read) for source in sources.values())
    return sources

  def stepping(session):
    gc.collect()
    during.extend(reference() for reference in held)
    go(session)

  monkeypatch.setattr(init_from, 'find', watched)
  monkeypatch.setattr(loop.Session, 'run', stepping)
  _run(tmp_path / 'second', init_from=str(tmp_path / 'first' / 'run'))
  assert during == [None]


@pytest.mark.parametrize('stats, expected', [({'bytes_limit': 70}, 70), ({}, 0), (None, 0)])
def test_an_accelerator_says_what_it_has(stats, expected):
  device = types.SimpleNamespace(platform='gpu', memory_stats=lambda: stats)
  assert memory.available(device, share=4) == expected


def test_devices_on_a_cpu_share_its_memory(monkeypatch):
  monkeypatch.setattr(memory.machine, 'memory_limit', lambda: 8_000)
  assert memory.available(jax.devices()[0], share=8) == 1_000
