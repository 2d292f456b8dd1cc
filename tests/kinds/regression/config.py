"""By which angle a digit is turned."""

from vitlab.config import base, parse_arg


def get_config(arg=None):
  parse_arg(arg)
  config = base()
  config.duration = '100 steps'
  config.batch_size = 64
  config.data = dict(name='rotated', most=90.0, side=16)
  config.model = dict(name='compass', widths=(8, 16, 32), hidden=64)
  config.task = dict(name='regression')
  config.optim = dict(name='adamw', learning_rate=4e-3, warmup='10%')
  config.evaluators.test = dict(name='degrees', split='test', every='50%')
  config.checkpoint.best, config.checkpoint.best_mode = 'test/mean_absolute_error', 'min'
  return config
