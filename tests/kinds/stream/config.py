"""A model with a memory."""

from vitlab.config import base, parse_arg


def get_config(arg=None):
  parse_arg(arg)
  config = base()
  config.duration = '60 steps'
  config.batch_size = 32
  config.data = dict(name='pulses')
  config.model = dict(name='leaky')
  config.task = dict(name='stream')
  config.optim = dict(name='adamw', learning_rate=3e-2)
  config.evaluators.test = dict(name='following', every='50%')
  return config
