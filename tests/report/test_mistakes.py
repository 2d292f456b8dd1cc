"""Mistakes are those of the last evaluation, and of the same data."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from vitlab import workdir
from vitlab.data import identity
from vitlab.data.sets import majority
from vitlab.errors import UserError
from vitlab.report import mistakes, text_classification

FOUND = dict(index=[7, 2], label=[1, 0], predicted=[0, -1], confidence=[0.75, 0.5])


def make(folder, **data):
  config = ConfigDict(dict(data=dict(name='majority', test=20, train=30, **data), evaluators={}))
  config.evaluators.val = dict(name='perplexity')
  config.evaluators.test = dict(name='text_classification')
  arrays = {f'mistakes_{key}': np.array(x) for key, x in FOUND.items()}
  workdir.write_details(folder, 'test', arrays)
  dataset = majority.make(test=20, train=30)
  return config, dataset, dataset.facts | {identity.SPLITS: identity.splits(dataset)}


def test_they_come_with_the_split_that_they_are_in(tmp_path):
  config, dataset, facts = make(tmp_path)
  source, found = mistakes.stored(tmp_path, config, facts)
  assert found == [mistakes.Mistake(7, 1, 0, 0.75), mistakes.Mistake(2, 0, -1, 0.5)]
  for key, values in source[7].items():
    np.testing.assert_array_equal(values, dataset.splits['test'][7][key])


def test_other_data_and_no_evaluation_are_refused(tmp_path):
  config, _, facts = make(tmp_path, seed=1)
  with pytest.raises(UserError, match='its data have changed'):
    mistakes.stored(tmp_path, config, facts)
  with pytest.raises(UserError, match='no details of a classification yet'):
    mistakes.stored(tmp_path / 'other', config, facts)


def test_a_workdir_gives_them_as_texts(tmp_path, monkeypatch):
  config, _, facts = make(tmp_path)
  workdir.write_json(tmp_path / workdir.FACTS, facts)
  monkeypatch.setattr(workdir, 'stored_config', lambda folder: config)
  ((first, second),) = text_classification.collect([tmp_path])
  assert first.mistake.index == 7 and set(first.text[0].split()) <= {*'abc', '[CLS]', '[SEP]'}
  assert second.mistake.said == -1
