"""Kinds of learning laid beside those of vitlab, as if their files were in its folders.

As a program: `python kinds.py <kind> <arguments of launch.py>`.
"""

import importlib
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / 'tests' / 'kinds'
KINDS = ('letters', 'detection', 'game', 'stream', 'regression')
ROOMS = ('models', 'tasks', 'data.sets', 'evaluators', 'predict', 'report')


def add(kind):
  """Makes the files of a kind files of vitlab."""
  for room in ROOMS:
    folder = FOLDER / kind / room.replace('.', '/')
    paths = importlib.import_module(f'vitlab.{room}').__path__
    if folder.is_dir() and str(folder) not in paths:
      paths.append(str(folder))


def config(kind):
  return f'--config={FOLDER / kind / "config.py"}'


if __name__ == '__main__':
  sys.path.insert(0, str(ROOT))
  import launch

  add(sys.argv[1])
  sys.exit(launch.main([config(sys.argv[1]), *sys.argv[2:]]))
