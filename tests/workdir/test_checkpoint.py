"""Checkpoints: what is saved comes back on any mesh, damage never comes back silently."""

import contextlib
import logging
import math
import pathlib
import resource
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers.states import abstract, array_file, flip, here, make_state, mesh, place

from vitlab.errors import UserError
from vitlab.workdir import fingerprint, stored_step
from vitlab.workdir.checkpoint import CheckpointError, Checkpoints


@pytest.fixture
def checkpoints(tmp_path):
  result = Checkpoints(tmp_path / 'checkpoints', keep=3)
  yield result
  result.close()


def _save_steps(checkpoints, *steps, metrics=None):
  for step in steps:
    checkpoints.save(step, make_state(step), {'config': {'step': step}}, metrics)
  checkpoints.wait()


def test_restores_what_was_saved_with_types_and_structure(checkpoints):
  meta = {'config': {'dims': [1, 2], 'name': 'µ'}, 'versions': {'jax': jax.__version__}}
  assert checkpoints.save(3, make_state(3), meta, {'test/accuracy': 0.5, 'loss': math.nan})
  checkpoints.wait()
  restored = checkpoints.restore(here(make_state(0)))
  assert (restored.step, restored.meta) == (3, meta)
  assert restored.metrics['test/accuracy'] == 0.5
  assert jax.tree.structure(restored.state) == jax.tree.structure(make_state(3))
  assert fingerprint.leaves(restored.state) == fingerprint.numpy_leaves(make_state(3))


def test_there_is_nothing_to_restore_in_a_new_run(checkpoints):
  assert checkpoints.restore(here(make_state(0))) is None
  assert (checkpoints.steps(), checkpoints.latest(), checkpoints.best()) == ([], None, None)


def test_the_state_may_be_donated_while_it_is_written(checkpoints):
  state = jax.tree.map(jnp.copy, make_state(1))
  expected = fingerprint.leaves(state)
  checkpoints.save(1, state, {})
  jax.jit(lambda s: jax.tree.map(lambda x: x * 2, s), donate_argnums=0)(state)
  checkpoints.wait()
  restored = checkpoints.restore(here(make_state(1)))
  assert fingerprint.leaves(restored.state) == expected


def test_keys_and_wide_types_come_back(checkpoints, x64):
  state = {'key': jax.random.key(3), 'wide': jnp.arange(5.0) ** 3, 'int': jnp.arange(4) << 40}
  checkpoints.save(1, state, {})
  checkpoints.wait()
  restored = checkpoints.restore(here(state)).state
  assert restored['wide'].dtype == 'float64'
  assert restored['key'].dtype == state['key'].dtype
  assert fingerprint.leaves(restored) == fingerprint.leaves(state)


_LAYOUTS = [
  (8, ('data',), (8,), (None, 'data')),
  (8, ('data', 'fsdp', 'model'), (2, 2, 2), ('fsdp', 'model')),
  (4, ('fsdp',), (4,), ('fsdp',)),
  (1, ('data',), (1,), ()),
]


@pytest.mark.parametrize('saved', _LAYOUTS)
def test_restores_onto_other_meshes(saved, tmp_path):
  state, directory = make_state(1), tmp_path / 'checkpoints'
  count, names, shape, spec = saved
  writer = Checkpoints(directory)
  writer.save(1, place(state, mesh(count, names, shape), spec), {})
  writer.close()
  reader = Checkpoints(directory, read_only=True)
  for count, names, shape, spec in _LAYOUTS:
    wanted = abstract(state, mesh(count, names, shape), spec)
    restored = reader.restore(wanted).state
    kernel = restored.variables['model']['params']['dense']['kernel']
    assert kernel.sharding == wanted.variables['model']['params']['dense']['kernel'].sharding
    assert fingerprint.leaves(restored) == fingerprint.numpy_leaves(state)


def test_restores_fields_without_a_template(checkpoints):
  _save_steps(checkpoints, 1)
  restored = checkpoints.restore_arrays(('variables', 'ema'))
  assert set(restored.state) == {'variables', 'ema'}
  params = restored.state['variables']['model']['params']
  expected = make_state(1).variables['model']['params']
  assert params['empty'].shape == (0, 4)
  assert fingerprint.numpy_leaves(params) == fingerprint.leaves(expected)
  assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
  'other, names',
  [
    (make_state(0, width=4), ('kernel is float32[8, 16] there, float32[4, 16] here', 'and 2 more')),
    (make_state(0, dtype=jnp.float16), ('kernel is float32[8, 16] there, float16[8, 16] here',)),
    (
      make_state(0)._replace(ema={'model': jnp.zeros(2)}),
      ('ema/model is absent there, float32[2]',),
    ),
    (make_state(0)._replace(opt_state={}), ('opt_state/model/', 'there, absent here')),
  ],
)
def test_another_state_is_refused_by_name(checkpoints, other, names):
  _save_steps(checkpoints, 1)
  with pytest.raises(UserError) as error:
    checkpoints.restore(here(other))
  assert all(name in str(error.value) for name in names)
  assert str(error.value).count('\n') < 3
  assert checkpoints.steps() == [1]


def test_a_step_is_saved_once(checkpoints):
  assert checkpoints.save(1, make_state(1), {})
  assert not checkpoints.save(1, make_state(1), {})


def test_a_step_of_another_course_is_not_skipped_silently(checkpoints):
  _save_steps(checkpoints, 1, 2)
  checkpoints.restore(here(make_state(0)), step=1)
  with pytest.raises(UserError, match='step 2 exists'):
    checkpoints.save(2, make_state(2), {})


def test_keeps_the_newest_the_spaced_and_the_best(tmp_path):
  accuracy = {1: 0.1, 2: 0.9, 3: 0.3, 4: math.nan, 5: 0.9, 6: 0.2, 7: math.nan, 8: None}
  checkpoints = Checkpoints(tmp_path, keep=2, keep_every=4, best='test/accuracy')
  for step, value in accuracy.items():
    metrics = {} if value is None else {'test/accuracy': value}
    checkpoints.save(step, make_state(step), {}, metrics)
  checkpoints.close()
  assert checkpoints.steps() == [4, 5, 7, 8]
  assert checkpoints.best() == 5  # as good as step 2, and later
  again = Checkpoints(tmp_path, keep=2, keep_every=4, best='test/accuracy')
  assert again.best() == 5
  again.close()
  assert not (tmp_path / 'trash').exists()


def test_the_best_of_a_loss_is_the_smallest(tmp_path):
  checkpoints = Checkpoints(tmp_path, keep=1, best='loss', best_mode='min')
  for step, loss in enumerate([3.0, -math.inf, 2.0, math.nan, 5.0]):
    checkpoints.save(step, make_state(step), {}, {'loss': loss})
  checkpoints.close()
  assert (checkpoints.steps(), checkpoints.best()) == ([1, 4], 1)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='cannot be written'):
    Checkpoints(tmp_path / 'file' / 'checkpoints')


_DAMAGE = {
  'time of commit': lambda folder: [
    (folder / '_CHECKPOINT_METADATA').write_text('{"commit_timestamp_nsecs": "7"}'),
    (folder / 'meta' / 'metadata').unlink(),
  ],
  'flipped bit': lambda folder: flip(array_file(folder), 8 * 1000 + 3),
  'truncated': lambda folder: array_file(folder).write_bytes(array_file(folder).read_bytes()[:700]),
  'arrays deleted': lambda folder: shutil.rmtree(folder / 'state'),
  'meta deleted': lambda folder: shutil.rmtree(folder / 'meta'),
  'meta changed': lambda folder: (folder / 'meta' / 'metadata').write_text(
    (folder / 'meta' / 'metadata').read_text().replace('"step": 3', '"step": 4')
  ),
  'emptied': lambda folder: [shutil.rmtree(folder), folder.mkdir()],
  'of another step': lambda folder: [
    shutil.rmtree(folder),
    shutil.copytree(folder.parent / '2', folder),
  ],
}


@pytest.mark.parametrize('damage', _DAMAGE)
def test_a_damaged_newest_step_is_named_and_set_aside(tmp_path, caplog, damage):
  with_damage = tmp_path / 'checkpoints'
  writer = Checkpoints(with_damage, keep=3)
  _save_steps(writer, 1, 2, 3)
  writer.close()
  _DAMAGE[damage](with_damage / '3')
  checkpoints = Checkpoints(with_damage, keep=3)
  with caplog.at_level(logging.WARNING, logger='vitlab'):
    restored = checkpoints.restore(here(make_state(0)))
  warnings = [r.getMessage() for r in caplog.records if r.name.startswith('vitlab')]
  assert len(warnings) == 1
  assert 'damaged checkpoint 3' in warnings[0]
  assert 'using step 2' in warnings[0]
  assert restored.step == 2
  assert fingerprint.leaves(restored.state) == fingerprint.leaves(make_state(2))
  # The run comes to step 3 again and must be able to save it.
  _save_steps(checkpoints, 3)
  assert checkpoints.steps() == [1, 2, 3]
  assert checkpoints.restore(here(make_state(0))).step == 3
  checkpoints.close()


def test_a_reader_sets_nothing_aside(tmp_path):
  writer = Checkpoints(tmp_path)
  _save_steps(writer, 1, 2)
  writer.close()
  flip(array_file(tmp_path / '2'), 8 * 1000)
  (tmp_path / '3.orbax-checkpoint-tmp').mkdir()  # another process is writing it
  reader = Checkpoints(tmp_path, read_only=True)
  assert reader.restore(here(make_state(0))).step == 1
  assert reader.restore_arrays().step == 1
  assert sorted(p.name for p in tmp_path.iterdir()) == ['1', '2', '3.orbax-checkpoint-tmp']


def test_a_reader_follows_a_run_that_deletes_what_it_reads(tmp_path, monkeypatch):
  writer = Checkpoints(tmp_path, keep=1)
  _save_steps(writer, 1)
  reader = Checkpoints(tmp_path, read_only=True)
  read_meta = stored_step.read_meta

  def late(folder):
    if folder.name == '1':
      _save_steps(writer, 2)  # and step 1 is gone
    return read_meta(folder)

  monkeypatch.setattr(stored_step, 'read_meta', late)
  assert reader.restore(here(make_state(0))).step == 2
  writer.close()


def test_never_starts_again_when_every_step_is_damaged(tmp_path):
  writer = Checkpoints(tmp_path)
  _save_steps(writer, 1, 2)
  writer.close()
  for step in (1, 2):
    flip(array_file(tmp_path / str(step)), 8 * 1000)
  checkpoints = Checkpoints(tmp_path)
  with pytest.raises(UserError, match='damaged: 2 .*; 1 ') as error:
    checkpoints.restore(here(make_state(0)))
  assert str(error.value).count('\n') < 3
  assert checkpoints.steps() == [1, 2]
  checkpoints.close()


def test_a_certain_step_is_not_replaced_by_another(checkpoints):
  _save_steps(checkpoints, 1, 2)
  assert checkpoints.restore(here(make_state(0)), step=1).step == 1
  with pytest.raises(UserError, match=r'no checkpoint of step 7 .*\[1, 2\]'):
    checkpoints.restore(here(make_state(0)), step=7)
  flip(array_file(pathlib.Path(checkpoints._directory) / '2'), 8 * 1000)
  with pytest.raises(UserError, match='damaged: 2'):
    checkpoints.restore(here(make_state(0)), step=2)


@contextlib.contextmanager
def _full_disk(limit):
  """Writing a file past `limit` bytes fails: needs no rights, unlike a small file system."""
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _noise(step):
  values = np.random.default_rng(step).normal(size=(9, 40_000))
  return {f'x{i}': jnp.asarray(row, jnp.float32) for i, row in enumerate(values)}


@pytest.mark.parametrize('ask', ['wait', 'check', 'save', 'close'])
def test_a_full_disk_is_reported_and_leaves_the_older_steps(tmp_path, ask):
  checkpoints = Checkpoints(tmp_path, keep=1)
  checkpoints.save(1, _noise(1), {})
  checkpoints.wait()
  with _full_disk(100_000):
    checkpoints.save(2, _noise(2), {})
    while checkpoints._manager.is_saving_in_progress():
      time.sleep(0.01)
  with pytest.raises(CheckpointError, match='step 2 could not be written') as error:
    checkpoints.save(3, _noise(3), {}) if ask == 'save' else getattr(checkpoints, ask)()
  assert f'MB are free in {tmp_path}; intact are the steps [1]' in str(error.value)
  assert str(error.value).count('\n') < 3
  files = [path.relative_to(tmp_path) for path in tmp_path.rglob('*') if path.is_file()]
  assert {path.parts[0] for path in files} == {'1'}
  if ask != 'close':
    assert checkpoints.restore(here(_noise(0))).step == 1
    assert checkpoints.save(2, _noise(2), {})  # there is room again
    checkpoints.close()
    assert checkpoints.steps() == [2]
