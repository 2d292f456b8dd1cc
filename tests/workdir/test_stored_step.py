"""One stored step: everything that is read back has been verified."""

import contextlib
import json
import pathlib
import random
import sys
import types

import jax
import numpy as np
import pytest
from _helpers.states import flip, here, make_state
from etils import epath

from vitlab.errors import UserError
from vitlab.workdir import fingerprint, stored_step
from vitlab.workdir.checkpoint import Checkpoints

_META = {'config': {'step': 1}}
_STATE = make_state(1, width=256)  # arrays large enough to be hit


@pytest.fixture
def folder(tmp_path):
  with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
    checkpoints.save(1, _STATE, _META, {'loss': 2.0})
  return epath.Path(tmp_path / '1')


def _read(folder):
  stored = stored_step.read_meta(folder)
  return stored, stored_step.read_state(folder, stored, here(_STATE))


def test_reads_what_was_written(folder):
  stored, state = _read(folder)
  assert stored.step == 1
  assert stored.meta == _META
  assert stored.metrics == {'loss': 2.0}
  assert stored.leaves == fingerprint.leaves(state) == fingerprint.numpy_leaves(_STATE)


def test_what_is_inside_meta_may_be_changed_before_it_is_written(tmp_path):
  """Orbax writes it in a thread, while the loop adds the next step to the same sums."""
  meta = {'window': {'loss': [1.0, 1.0]}}
  packed = stored_step.pack(1, _STATE, meta, {})
  meta['window']['loss'][0] += 2.0
  folder = epath.Path(tmp_path / '1')
  (folder / 'meta').mkdir(parents=True)
  (folder / 'meta' / 'metadata').write_text(json.dumps(packed['meta'].item))
  assert stored_step.read_meta(folder).meta == {'window': {'loss': [1.0, 1.0]}}


@pytest.mark.parametrize('lost', ['bias', 'kernel'])
def test_a_leaf_that_the_description_of_the_tree_has_lost_is_damage(folder, lost):
  description = json.loads((folder / 'state' / '_METADATA').read_text())
  leaves = description['tree_metadata']
  del leaves[next(name for name in leaves if 'params' in name and lost in name)]
  (folder / 'state' / '_METADATA').write_text(json.dumps(description))
  stored = stored_step.read_meta(folder)
  for read in (
    lambda: stored_step.read_state(folder, stored, here(_STATE)),
    lambda: stored_step.read_arrays(folder, stored, ['variables']),
  ):
    with pytest.raises(stored_step.Damaged, match='state: '):
      read()


def test_random_damage_is_noticed_or_harmless(folder):
  """A short run of experiments/reliability/bit_flips.py, which does 300."""
  chance = random.Random(0)
  files = sorted(p for p in pathlib.Path(folder).rglob('*') if p.is_file())
  content = {path: path.read_bytes() for path in files}
  weights = [len(content[path]) for path in files]
  expected = fingerprint.numpy_leaves(_STATE)
  noticed = 0
  for _ in range(20):
    path = chance.choices(files, weights)[0]
    flip(path, chance.randrange(8 * len(content[path])))
    try:
      stored, state = _read(folder)
      assert fingerprint.leaves(state) == expected
      assert stored.meta == _META
    except stored_step.Damaged:
      noticed += 1
    path.write_bytes(content[path])
  assert noticed > 10


@pytest.mark.parametrize(
  'change',
  [
    {'meta': {'config': {'step': 2}}},
    {'metrics': {'loss': 1.0}},
    {'leaves': {}},
    {'digest': 'f' * 32},
    {'more': 1},
  ],
)
def test_changed_metadata_is_noticed(folder, change):
  path = folder / 'meta' / 'metadata'
  path.write_text(json.dumps(json.loads(path.read_text()) | change))
  with pytest.raises(stored_step.Damaged, match='meta'):
    stored_step.read_meta(folder)


def test_a_step_under_the_name_of_another_is_noticed(folder):
  with pytest.raises(stored_step.Damaged, match='belongs to step 1'):
    stored_step.read_meta(folder.rename(folder.parent / '2'))


def test_too_little_memory_is_not_damage(folder, monkeypatch):
  def restore(*_, **__):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED')

  monkeypatch.setattr(stored_step.ocp.StandardCheckpointHandler, 'restore', restore)
  with pytest.raises(jax.errors.JaxRuntimeError):
    _read(folder)


def test_a_file_that_may_not_be_read_is_not_damage(folder, monkeypatch):
  def restore(*_, **__):
    raise PermissionError(13, 'Permission denied')

  monkeypatch.setattr(stored_step.ocp.StandardCheckpointHandler, 'restore', restore)
  with pytest.raises(UserError, match='may not be read'):
    _read(folder)


def test_after_a_read_only_what_concerns_others_is_printed(folder, monkeypatch):
  """Reads of orbax that go on after one has failed: when and where they end is chance."""
  printed = []
  monkeypatch.setattr(sys, 'unraisablehook', printed.append)
  _read(folder)
  code = types.SimpleNamespace(co_filename='/site-packages/orbax/checkpoint/x.py')
  reports = [
    types.SimpleNamespace(exc_value=RuntimeError('Event loop is closed'), object=None),
    types.SimpleNamespace(exc_value=ValueError(), object=types.SimpleNamespace(cr_code=code)),
    types.SimpleNamespace(exc_value=ValueError('mine'), object=None),
  ]
  for report in reports:
    sys.unraisablehook(report)
  assert printed == reports[2:]


@pytest.mark.parametrize('text, printed', [('Event loop is closed', 0), ('of the user', 1)])
def test_after_a_failed_write_only_what_concerns_others_is_printed(monkeypatch, text, printed):
  shown = []
  monkeypatch.setattr(sys, 'unraisablehook', lambda unraisable: None)
  monkeypatch.setattr(sys, 'excepthook', lambda *error: shown.append(error))
  stored_step.pack(1, make_state(1), {}, {})
  error = RuntimeError(text)
  sys.excepthook(RuntimeError, error, None)  # as the threads of the storage do
  assert len(shown) == printed


def test_parts_are_read_without_their_structure(folder):
  stored = stored_step.read_meta(folder)
  arrays = stored_step.read_arrays(folder, stored, ('variables', 'ema'))
  kernel = arrays['variables']['model']['params']['dense']['kernel']
  np.testing.assert_array_equal(kernel, _STATE.variables['model']['params']['dense']['kernel'])
  assert arrays['ema'] == {}
