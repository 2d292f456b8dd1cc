"""A run can be planned where its data are not."""

import pytest
from _helpers import runs

from vitlab.errors import UserError
from vitlab.inspection import stand_in
from vitlab.train import setup


def absent(**overrides):
  config = runs.config(model__variant='Ti/8', **overrides)
  config.data = dict(name='folder', path='/nowhere', image_size=(16, 24), channels=1)
  return config


def test_the_shapes_of_the_config_stand_in_for_the_data(caplog):
  config = absent(model__num_classes=7, task__num_classes=7, duration='2 epochs')
  built = setup.build(config, dataset=stand_in.dataset(config))
  assert built.abstract_batch['image'].shape == (32, 16, 24, 1)
  assert built.total_steps == 2 * stand_in.NUM_EXAMPLES // 32
  assert '/nowhere' in caplog.text and 'stand in' in caplog.text


def test_text_that_is_not_here(caplog):
  config = runs.config(
    data=dict(name='parallel', path='/nowhere', source='en', target='fr', lengths=(8, 24)),
    model=dict(name='transformer', variant='mu', vocab_size=None),
    task=dict(name='translation'),
    evaluators=dict(test=dict(name='sequences', split='test_2016', every='10%')),
  )
  config.data.vocab_size = 99
  built = setup.build(config, dataset=stand_in.dataset(config))
  assert built.abstract_batch['tokens'].shape == (32, 24)
  assert built.dataset.facts['vocab_size'] == 99 and '/nowhere' in caplog.text


def test_what_the_config_does_not_say_is_an_error():
  with pytest.raises(UserError, match='/nowhere'):
    stand_in.dataset(absent())


def test_data_that_are_here_are_used():
  assert stand_in.dataset(runs.config()).facts['class_names']


def test_all_splits_that_a_config_reads_are_there():
  config = absent(model__num_classes=7, task__num_classes=7, train_split='extra[:50%]+train')
  probe = dict(name='linear_probe', train_split='shots[5:]', split='night + day', every='100%')
  config.evaluators, config.checkpoint.best = dict(probe=probe), ''
  built = setup.build(config, dataset=stand_in.dataset(config))
  assert {'extra', 'train', 'shots', 'night', 'day'} <= built.dataset.splits.keys()
