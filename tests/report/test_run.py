"""A workdir in whatever state is read, never refused."""

import numpy as np
import pytest
from _helpers import workdirs

from vitlab import workdir
from vitlab.errors import UserError
from vitlab.report import run as run_lib


def test_reads_all_files_of_a_run(tmp_path):
  (run,) = run_lib.read([workdirs.write(tmp_path / 'digits')])
  assert run.name == 'digits'
  assert run.config == workdirs.CONFIG
  assert run.rows == workdirs.metrics()
  assert run.result['fingerprint'] == '9f3c1a7be2d04c55'
  assert run.facts['class_names'][3] == 'class 3'
  assert run.kind == 'classification'
  np.testing.assert_array_equal(run.details['test']['confusion'], workdirs.details()['confusion'])


@pytest.mark.parametrize(
  'name', ['config.json', 'metrics.jsonl', 'result.json', 'details/test.npz']
)
@pytest.mark.parametrize('content', [None, b'', b'[1', b'[]', b'\xff\x00PK'])
def test_a_missing_or_damaged_file_leaves_its_part_empty(tmp_path, name, content):
  folder = workdirs.write(tmp_path / 'digits')
  (folder / name).unlink()
  if content is not None:
    (folder / name).write_bytes(content)
  (run,) = run_lib.read([folder])
  part = dict(zip(('config', 'metrics', 'result', 'details/test'), (0, 1, 2, 3)))[
    name.split('.')[0]
  ]
  found = (run.config, run.rows, run.result, run.details.get('test', {}))
  assert [not x for x in found] == [place == part for place in range(4)]


def test_last_is_the_newest_value_of_every_metric(tmp_path):
  folder = workdirs.write(tmp_path / 'digits')
  (folder / workdir.RESULT).unlink()
  (folder / workdir.METRICS).write_text(
    '{"step": 1, "test/accuracy": 0.1, "train/loss": 3}\n{"step": 2, "train/loss": null}\n{"st'
  )
  (run,) = run_lib.read([folder])
  assert run.last == {'test/accuracy': 0.1, 'train/loss': None}


def test_names_are_as_long_as_it_takes_to_tell_runs_apart(tmp_path):
  folders = [tmp_path / 'a' / 'digits', tmp_path / 'b' / 'digits', tmp_path / 'b' / 'lion']
  for folder in folders:
    folder.mkdir(parents=True)
  assert [run.name for run in run_lib.read(folders)] == ['a/digits', 'b/digits', 'b/lion']
  assert [run.name for run in run_lib.read([folders[0], f'{folders[0]}/../digits'])] == ['digits']


def test_a_workdir_must_be_given_and_exist(tmp_path):
  with pytest.raises(UserError, match='needs a workdir'):
    run_lib.read([])
  with pytest.raises(UserError, match='no workdir .*absent'):
    run_lib.read([tmp_path / 'absent'])
