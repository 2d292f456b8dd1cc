"""What a spec leaves open is a fact of the data, or an error that says which one is missing."""

import pytest

from vitlab.errors import UserError
from vitlab.facts import fill

FACTS = dict(num_classes=3, image=dict(image_size=(8, 8)), splits={})


def test_none_at_any_depth_is_the_fact_of_that_name_and_all_else_stays():
  spec = dict(
    name='vit',
    num_classes=None,
    width=None,  # which may be left out: it overrides the variant
    pool=0,
    backbone=dict(name='resnet', num_classes=None),
    other=dict(num_classes=None, vocab_size=None),  # no component: nothing is known to be needed
  )
  filled = fill(spec, FACTS, 'model', 'models')
  assert filled == spec | dict(
    num_classes=3,
    backbone=dict(name='resnet', num_classes=3),
    other=dict(num_classes=3, vocab_size=None),
  )
  assert spec['num_classes'] is None and spec['backbone']['num_classes'] is None


@pytest.mark.parametrize(
  'spec, where, folder, place',
  [
    (dict(name='transformer', vocab_size=None), 'model', 'models', 'model.vocab_size'),
    (
      dict(name='vit', backbone=dict(name='rnn_seq2seq', vocab_size=None)),
      *('model', 'models', 'model.backbone.vocab_size'),
    ),
    (dict(name='classification', mean=None), 'task', 'tasks', 'task.mean'),
    (
      dict(name='distillation', teacher=dict(name='transformer', vocab_size=None)),
      *('task', 'tasks', 'task.teacher.vocab_size'),
    ),
  ],
)
def test_what_is_needed_and_no_fact_is_named_with_its_place(spec, where, folder, place):
  with pytest.raises(UserError) as error:
    fill(spec, FACTS, where, folder)
  first, second = str(error.value).split('\n')
  assert first == (
    f'config.{place} is None, to be filled from the weights of init_from or from the data, whose '
    'facts are image, num_classes, splits'
  )
  assert second == 'give it a value, or take weights or data that say it'
  with pytest.raises(UserError, match='whose facts are none'):
    fill(spec, {}, where, folder)
  fill(spec, FACTS | dict(vocab_size=5, mean=(0.5,)), where, folder)


def test_what_is_no_name_is_left_to_the_registry():
  assert fill(dict(num_classes=None), FACTS, 'model', 'models') == dict(num_classes=3)
  with pytest.raises(UserError, match='did you mean vit'):
    fill(dict(name='vitt', num_classes=None), FACTS, 'model', 'models')
