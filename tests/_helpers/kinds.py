"""Kinds of learning laid beside those of vitlab, as if their files were in its folders.

As a program: `python kinds.py <kind> '<json of overrides>' <workdirs>` trains them in turn.
"""

import importlib
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / 'tests' / 'kinds'
KINDS = ('letters', 'localization', 'game', 'stream', 'regression')
ROOMS = ('models', 'tasks', 'data.sets', 'evaluators', 'predict', 'report')


def add(kind):
  """Makes the files of a kind files of vitlab."""
  for room in ROOMS:
    folder = FOLDER / kind / room.replace('.', '/')
    paths = importlib.import_module(f'vitlab.{room}').__path__
    if folder.is_dir() and str(folder) not in paths:
      paths.append(str(folder))


def main(kind, changes, *folders):
  sys.path.insert(0, str(ROOT))
  import jax

  jax.config.update('jax_compilation_cache_dir', str(ROOT / '.jax_cache'))
  from vitlab.cli import config_file
  from vitlab.train import run

  add(kind)
  for folder in folders:
    config = config_file.load(str(FOLDER / kind / 'config.py'))
    with config.unlocked():
      config.update_from_flattened_dict(json.loads(changes))
    run.train(config, folder)


if __name__ == '__main__':
  main(*sys.argv[1:])
