"""How a small detector learns from a few hundred pictures of one's own, whichever it is."""

from typing import Any

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def start(arg: str | None, name: str, **words: Any) -> tuple[ConfigDict, ConfigDict]:
  """The config, but for model and optimiser, and what was said to it.

  Args:
    arg: `path`: of the pictures; `size`: pixels of the longer side; `epochs`; `smoke`: seconds.
    name: Of the config's file.
    **words: Of this detector alone, and their defaults.

  Raises:
    UserError: no pictures.
  """
  arg = parse_arg(arg, path='', size=320, **words, epochs=120, smoke=False)
  if not arg.path and not arg.smoke:
    raise UserError(
      f'configs/{name}.py needs your pictures: --config=configs/{name}.py:path=FOLDER'
    )
  config = base()
  config.duration = f'{arg.epochs} epochs'
  config.batch_size = 8
  config.ema_decay = 0.998
  config.data = dict(
    name='detection_folder',
    path=arg.path,
    image_size=(arg.size * 3 // 4, arg.size),
    in_memory=True,
  )
  config.task = dict(name='detection', augment='scale_jitter(zoom=(0.8, 1.25))|flip|hsv_jitter')
  config.evaluators.test = dict(name='average_precision', split='test|val', num_classes=None)
  config.evaluators.test.every = '10%'
  config.checkpoint.best = 'test/ap'
  return config, arg
