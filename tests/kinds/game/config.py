"""A game of two players, of which one moves twice as often."""

from vitlab.config import base, parse_arg


def get_config(arg=None):
  parse_arg(arg)
  config = base()
  config.duration = '60 steps'
  config.batch_size = 32
  config.ema_decay = 0.9
  config.data = dict(name='ring')
  config.model = dict(name='two_players')
  config.task = dict(name='game')
  config.optim = dict(
    discriminator=dict(name='adam', learning_rate=2e-2, b1=0.5, schedule='constant'),
    generator=dict(name='adam', learning_rate=2e-2, b1=0.5, schedule='constant', every=2),
  )
  config.evaluators.test = dict(name='samples', every='50%')
  return config
