"""A detector of rectangles."""

from vitlab.config import base, parse_arg


def get_config(arg=None):
  parse_arg(arg)
  config = base()
  config.duration = '200 steps'
  config.batch_size = 32
  config.data = dict(name='rectangles')
  config.model = dict(name='one_box', num_classes=None)
  config.task = dict(name='localization', num_classes=None)
  config.optim = dict(name='adamw', learning_rate=3e-3)
  config.evaluators.test = dict(name='overlap', every='50%')
  return config
