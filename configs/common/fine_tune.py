"""How a model of texts that somebody has trained becomes a classifier of texts or of words."""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def start(arg: str | None, name: str, data: str, task: str, head: str) -> tuple[ConfigDict, bool]:
  """The config, but for columns and evaluators; and whether it is to be one of seconds.

  Args:
    arg: `weights`, `path`, `model`; `length` of a text; `epochs`; `smoke`: seconds.
    name: Of the config's file.
    data: Name of the data set.
    task: Name of the task.
    head: Of the model.

  Raises:
    UserError: no weights, or no texts.
  """
  arg = parse_arg(arg, weights='', path='', model='bert', length=128, epochs=3, smoke=False)
  if not arg.smoke and not (arg.weights and arg.path):
    raise UserError(
      f'configs/{name}.py needs weights and texts: '
      f'--config=configs/{name}.py:weights=FOLDER,path=FILE'
    )
  config = base()
  config.duration = f'{arg.epochs} epochs'
  config.batch_size = 32
  config.data = dict(name=data, path=arg.path, tokenizer=arg.weights, max_length=arg.length)
  config.init_from = dict(path=arg.weights, head='new')
  config.model = dict(name=arg.model, vocab_size=None, num_classes=None, head=head)
  config.task = dict(name=task, num_classes=None)
  config.optim = dict(
    name='adamw',
    learning_rate=5e-5,
    schedule='linear',
    warmup='10%',
    weight_decay=0.01,
    clip_norm=1.0,
  )
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    config.init_from = None
    config.model.update(variant='mu', max_length=32)
    config.optim.learning_rate = 1e-2
  return config, arg.smoke
