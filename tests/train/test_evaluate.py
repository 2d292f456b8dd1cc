"""What evaluators see is the split: no padding, no order of devices, no batch size."""

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab.errors import UserError
from vitlab.evaluators import Absent
from vitlab.train import evaluate, setup

EIGHT = dict(data=2, fsdp=2, model=2)


def _built(devices=1, **overrides):
  return setup.build(runs.config(**overrides), jax.devices()[:devices])


def _read(built, name='logits', split='test', variables=None):
  """All rows of a split: outputs and batch."""
  variables = built.init().averaged() if variables is None else variables
  outputs, batches = zip(*evaluate.predictions(built, variables)(name, split))
  rows = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
  return np.concatenate(outputs), rows


@pytest.fixture(scope='module')
def built():
  return _built()


def test_rows_are_the_split_in_its_order(built):
  _, rows = _read(built)
  assert set(rows) == {'image', 'label', 'index'}
  source = built.split('test')
  np.testing.assert_array_equal(rows['image'], source.arrays['image'])
  np.testing.assert_array_equal(rows['label'], source.arrays['label'])
  np.testing.assert_array_equal(rows['index'], np.arange(len(source)))


def test_features_stand_for_what_they_were_computed_from(built):
  features, rows = _read(built, 'features')
  assert set(rows) == {'label', 'index'} and len(features) == len(rows['label']) == 360


def test_an_unreadable_example_does_not_shift_the_numbers_of_the_others():
  mask = np.array([True, False, True, False])  # the second is unreadable, the last is padding
  batch = {'label': np.arange(4), 'index': np.arange(8, 12), 'mask': mask}
  outputs, rows = evaluate._rows(np.arange(4), batch)
  np.testing.assert_array_equal(outputs, [0, 2])
  np.testing.assert_array_equal(rows['index'], [8, 10])


@pytest.mark.parametrize('batch_size', [7, 360, 64])
def test_padding_changes_nothing(built, batch_size):
  other = _built(batch_size=batch_size)
  variables = built.init().averaged()
  logits, _ = _read(built, variables=variables)
  np.testing.assert_allclose(_read(other, variables=variables)[0], logits, atol=1e-6)
  metrics, _ = evaluate.evaluate(built, variables)
  others, _ = evaluate.evaluate(other, variables)
  assert others == pytest.approx(metrics, abs=1e-6)
  assert others['test/accuracy'] == metrics['test/accuracy']


def test_eight_devices_see_what_one_sees(built):
  many = _built(8, mesh=EIGHT)
  logits, rows = _read(many)
  wanted, wanted_rows = _read(built)
  np.testing.assert_allclose(logits, wanted, atol=1e-5)
  np.testing.assert_array_equal(rows['label'], wanted_rows['label'])


def test_one_compilation_whatever_the_split(built):
  for split in ('test', 'train[:50]', 'train[:33]', 'test'):
    _read(built, split=split)
  assert built.predict('logits')._cache_size() == 1


def test_what_the_task_does_not_predict_can_be_done_without(built):
  """By evaluators that ask for it: a UserError for all others."""
  with pytest.raises(Absent, match="predict function of the task 'sample_logits'.*logits"):
    _read(built, 'sample_logits')
  assert issubclass(Absent, UserError)


def test_metrics_and_details_have_the_names_of_the_evaluators():
  every = dict(every='10%')
  built = _built(
    evaluators=dict(
      test=dict(name='classification', **every),
      seen=dict(name='classification', split='train[:40]', **every),
    )
  )
  variables = built.init().averaged()
  metrics, details = evaluate.evaluate(built, variables)
  assert {'test/accuracy', 'seen/accuracy'} <= set(metrics)
  assert details['seen']['confusion'].sum() == 40 and details['test']['confusion'].sum() == 360
  only, _ = evaluate.evaluate(built, variables, ['seen'])
  assert {name.partition('/')[0] for name in only} == {'seen'}


def test_unknown_predict_function(built):
  with pytest.raises(UserError, match=r"'logit'.*logits"):
    _read(built, 'logit')


def test_interrupted_between_batches(built):
  answers = iter([False, False, True])
  source = evaluate.predictions(built, built.init().averaged(), lambda: next(answers))
  with pytest.raises(evaluate.Interrupted):
    list(source('logits', 'test'))
