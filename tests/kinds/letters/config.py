"""A language model of letters."""

from vitlab.config import base, parse_arg


def get_config(arg=None):
  parse_arg(arg)
  config = base()
  config.duration = '60 steps'
  config.batch_size = 32
  config.data = dict(name='letters')
  config.model = dict(name='causal', vocab_size=None)
  config.task = dict(name='letters')
  config.optim = dict(name='adamw', learning_rate=3e-2)
  config.evaluators.test = dict(name='surprise', every='50%')
  config.checkpoint.best, config.checkpoint.best_mode = 'test/perplexity', 'min'
  return config
