"""What every config starts from, and how a config takes arguments.

A config file defines `get_config(arg=None)` and returns a `ConfigDict` with exactly the keys of
`base()`. Durations are strings with a unit: '500 steps', '40 epochs', '1e6 examples', '10%' (of the
whole run); '11 epochs, at least 2000 steps' is the longer one.
"""

from typing import Any

from ml_collections import ConfigDict

from vitlab.errors import UserError, unknown


def base() -> ConfigDict:
  """Every key of the engine with its default; configs fill in the parts."""
  config = ConfigDict()
  config.seed = 0
  config.duration = '10 epochs'
  config.batch_size = 128  # global: over all devices and microbatches
  config.microbatches = 1  # gradient accumulation inside the step
  config.ema_decay = 0.0  # 0 is off; evaluators use the average when it is on

  # Parts: name = a file in vitlab/data, models, tasks, evaluators; the rest are its arguments.
  # A field left None is filled from the facts of the data set (num_classes, ...). Parts nest: a
  # model's backbone, the teacher and the task of a distillation (vitlab/registry.py).
  config.data = ConfigDict()
  config.train_split = 'train'
  config.num_workers = 0  # processes that decode; 0 decodes in the training process
  config.max_corrupt = 0.01  # stop when more than this fraction of the examples cannot be read
  config.model = ConfigDict()
  config.task = ConfigDict()
  config.init_from = None  # weights to start from: a path, or more, see vitlab/train/init_from.py
  config.match_classes = 'name'  # of weights and of data; 'position': the same order, other names
  config.optim = ConfigDict()
  config.evaluators = ConfigDict()  # name -> dict(every='1 epochs', name=..., ...)

  config.mesh = dict(data=-1, fsdp=1, model=1)  # -1 takes the devices that are left
  config.sharding_rules = ()  # (regex, axes) pairs tried before the built-in ones

  config.log_every = '50 steps'
  config.checkpoint = dict(
    every='10%',
    keep=2,  # the newest ones
    keep_every='',  # spaced durable ones, never deleted
    best='',  # the metric whose best checkpoint is kept, of equals the latest: test/accuracy
    best_mode='max',
  )
  return config


def parse_arg(arg: str | None, **defaults: Any) -> ConfigDict:
  """Reads the argument of `--config=file.py:variant=S/16,res=128`.

  The types come from the defaults, a bare name means True, and the first field may leave out its
  name.

  Raises:
    UserError: an unknown key or a value that does not have the type of its default.
  """
  values = ConfigDict(defaults, type_safe=False)
  for position, field in enumerate(filter(None, (arg or '').split(','))):
    key, equals, text = field.partition('=')
    if not equals:
      if key in defaults:
        text = 'True'
      elif position == 0 and defaults:
        key, text = next(iter(defaults)), field
    if key not in defaults:
      raise unknown('config argument', key, defaults)
    values[key] = _convert(key, text, defaults[key])
  return values


def _convert(key: str, text: str, default: Any) -> Any:
  if isinstance(default, bool):
    if text.lower() not in ('true', 'false', '1', '0'):
      raise UserError(f'config argument {key}={text}: expected true or false')
    return text.lower() in ('true', '1')
  try:
    return type(default)(text)
  except ValueError:
    raise UserError(f'config argument {key}={text}: expected {type(default).__name__}') from None
