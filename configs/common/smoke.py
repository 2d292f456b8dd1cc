"""`:smoke` of a config: a run of seconds that needs no file, by which tests see that it learns."""

from ml_collections import ConfigDict


def digits(config: ConfigDict, duration: str = '8 epochs') -> None:
  """Classification learns the 8x8 digits that come with scikit-learn.

  Args:
    config: Changed in place; the size of its model is left to it.
    duration: The length of the run.
  """
  config.data = dict(name='digits')
  config.task.augment = 'random_crop(padding=1)'
  if 'mean' in config.task:
    config.task.update(mean=(0.5,), std=(0.5,))
  for evaluator in config.evaluators.values():
    evaluator.every = '50%'
  config.ema_decay = config.ema_decay and 0.9
  config.duration, config.batch_size, config.log_every = duration, 64, '25 steps'


def reverse(config: ConfigDict, duration: str = '150 steps') -> None:
  """Translation learns to say rows of two or three digits backwards.

  Args:
    config: Changed in place; the depth of its model is left to it.
    duration: The length of the run.
  """
  config.data = dict(name='reverse', min_length=2, max_length=3, train=400, test=50)
  config.model.update(width=64, dropout_rate=0.0)
  config.evaluators = dict(test=dict(config.evaluators.test, split='test'))
  config.batch_size, config.duration = 64, duration


def scattered(config: ConfigDict, duration: str = '100 steps') -> None:
  """Detection learns to find digits on pictures of 64 pixels.

  Args:
    config: Changed in place; the size of its model is left to it.
    duration: The length of the run.
  """
  config.data = dict(name='scattered_digits', train=64, test=16)
  for evaluator in config.evaluators.values():
    evaluator.update(split='test', every='100%')
  config.ema_decay = config.ema_decay and 0.9
  config.task.augment = ''
  config.optim = dict(
    name='adamw', learning_rate=5e-3, schedule='cosine', weight_decay=0.05, clip_norm=10.0
  )
  config.duration, config.batch_size, config.log_every = duration, 16, '10 steps'
  config.checkpoint.every = '100%'
