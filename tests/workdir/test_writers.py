"""metrics.jsonl and TensorBoard hold each step once and survive a disk that is full for a while."""

import pathlib

import pytest
from _helpers.tensorboard import read

from vitlab import workdir
from vitlab.workdir import writers


def test_rows_andread(tmp_path):
  with writers.Writers(tmp_path) as out:
    out.write(5, {'train/loss': 0.5})
    out.write(10, {'train/loss': 0.25, 'test/accuracy': 1.0})
    assert out.has(10) and not out.has(11)
  assert workdir.read_metrics(tmp_path) == [
    {'step': 5, 'train/loss': 0.5},
    {'step': 10, 'train/loss': 0.25, 'test/accuracy': 1.0},
  ]
  scalars, _ = read(tmp_path)
  assert scalars == [(5, 'train/loss', 0.5), (10, 'train/loss', 0.25), (10, 'test/accuracy', 1.0)]


def test_a_restart_replaces_what_it_does_again(tmp_path):
  with writers.Writers(tmp_path) as out:
    for step in (5, 10, 15):
      out.write(step, {'train/loss': 1.0})
  with writers.Writers(tmp_path, restored_step=10) as out:
    assert [row['step'] for row in out.rows] == [5, 10]
    out.write(15, {'train/loss': 2.0})
  assert [(r['step'], r['train/loss']) for r in workdir.read_metrics(tmp_path)] == [
    (5, 1.0),
    (10, 1.0),
    (15, 2.0),
  ]
  assert read(tmp_path)[1] == [11]  # TensorBoard drops what it had from step 11 on


def test_a_step_is_written_once(tmp_path):
  with writers.Writers(tmp_path) as out:
    out.write(5, {'a': 1.0})
    with pytest.raises(ValueError, match='step 5 is not after'):
      out.write(5, {'a': 1.0})


def test_a_full_disk_loses_no_row(tmp_path, monkeypatch, caplog):
  class FullDisk:
    """A file that takes a few bytes, then is full."""

    def __init__(self, path, mode):
      self._file = pathlib.Path(path).open(mode)  # noqa: SIM115

    def __enter__(self):
      return self

    def __exit__(self, *_):
      self._file.close()

    def __getattr__(self, name):
      return getattr(self._file, name)

    def write(self, data):
      self._file.write(data[:7])
      raise OSError(28, 'No space left on device')

  with writers.Writers(tmp_path) as out:
    out.write(1, {'a': 1.0})
    monkeypatch.setattr(writers, 'open', FullDisk, raising=False)
    out.write(2, {'a': 2.0})
    assert 'No space left' in caplog.text
    monkeypatch.undo()
    out.write(3, {'a': 3.0})
  assert [row['a'] for row in workdir.read_metrics(tmp_path)] == [1.0, 2.0, 3.0]
  assert read(tmp_path)[0] == [(1, 'a', 1.0), (2, 'a', 2.0), (3, 'a', 3.0)]
  assert len((tmp_path / 'metrics.jsonl').read_bytes().splitlines()) == 3
