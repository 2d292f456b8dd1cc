import numpy as np
import pytest

from vitlab import workdir


def test_json_has_no_nan(tmp_path):
  workdir.write_json(tmp_path / 'x.json', {'a': [float('nan'), 1.5], 'b': float('inf')})
  assert workdir.read_json(tmp_path / 'x.json') == {'a': [None, 1.5], 'b': None}


def test_rewound_metrics_have_each_step_once(tmp_path):
  rows = [{'step': 10, 'x': 0.1}, {'step': 20, 'x': 0.2}, {'step': 20, 'x': 0.3}, {'step': 30}]
  data = b''.join(map(workdir.json_line, rows)) + b'{"step": 40, "x": 0.'
  (tmp_path / 'metrics.jsonl').write_bytes(data)
  assert [row['step'] for row in workdir.read_metrics(tmp_path)] == [10, 20, 30]
  assert workdir.rewind_metrics(tmp_path, 20) == [{'step': 10, 'x': 0.1}, {'step': 20, 'x': 0.3}]
  assert len((tmp_path / 'metrics.jsonl').read_bytes().splitlines()) == 2


def test_details_round_trip(tmp_path):
  workdir.write_details(tmp_path, 'test', {'confusion': np.eye(3), 'names': ['a', 'b']})
  details = workdir.read_details(tmp_path, 'test')
  np.testing.assert_array_equal(details['confusion'], np.eye(3))
  assert details['names'].tolist() == ['a', 'b']
  assert workdir.read_details(tmp_path, 'absent') == {}


def test_details_are_never_pickled(tmp_path):
  with pytest.raises(ValueError, match='allow_pickle'):
    workdir.write_details(tmp_path, 'test', {'ragged': np.array([[1], [1, 2]], dtype=object)})
