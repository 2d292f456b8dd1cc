from vitlab import tasks


def test_the_kind_of_a_wrapper_is_that_of_what_it_wraps():
  spec = dict(name='distillation', task=dict(name='distillation', task=dict(name='translation')))
  assert tasks.kind(spec) == 'translation'
  assert tasks.kind(dict(name='classification')) == 'classification'
