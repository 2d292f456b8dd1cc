from vitlab import tasks


def test_the_kind_of_a_wrapper_is_that_of_what_it_wraps():
  spec = dict(name='distillation', task=dict(name='distillation', task=dict(name='translation')))
  assert tasks.kind(spec) == 'translation'
  assert tasks.kind(dict(name='classification')) == 'classification'


def test_examples_are_called_by_what_they_are():
  assert tasks.unit(dict(name='distillation', task=dict(name='classification'))) == 'images'
  assert tasks.unit(dict(name='translation')) == 'examples'


def test_what_features_stand_for_is_what_the_kind_says():
  spec = dict(name='distillation', task=dict(name='classification'))
  assert tasks.inputs(spec) == ('image',) and tasks.inputs(dict(name='translation')) == ()
