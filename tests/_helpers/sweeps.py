"""Sweeps over a stand-in for the launcher, and a program that runs one.

As a program: `python sweeps.py <file with sweep(add)> <folder> '<json: stub, and options of run>'`.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
STUB = pathlib.Path(__file__).with_name('stub_launch.py')
CONFIG = str(ROOT / 'configs' / 'vit_digits.py:smoke')
IMPORTS = (
  'from vitlab.sweep.points import product, seeds, together\n'
  'from vitlab.sweep.search import choice, integer, log_uniform, search, uniform\n'
)


def write(tmp_path, body):
  """A file with the function sweep(add) of this body."""
  path = tmp_path / 'points.py'
  lines = ''.join(f'  {line}\n' for line in body.splitlines())
  path.write_text(f'{IMPORTS}def sweep(add):\n{lines}')
  return path


def define(path, overrides=(), spec=CONFIG):
  """The definition in such a file."""
  from vitlab.cli import config_file
  from vitlab.sweep import definition

  config = config_file.load(spec, overrides)
  return definition.read(config, spec, overrides, str(path))


def run(path, folder, stub=None, **options):
  """Runs a sweep of stubs here; returns its exit code."""
  from vitlab.sweep import controller

  given = {'starts': str(pathlib.Path(folder).with_suffix('.starts')), **(stub or {})}
  extra = [f'--stub={json.dumps(given)}']
  return controller.run(define(path), str(folder), launcher=STUB, extra=extra, **options)


def start(path, folder, stub=None, **options):
  """Starts the same in a process of its own."""
  return subprocess.Popen(
    [sys.executable, __file__, str(path), str(folder), json.dumps(dict(stub=stub, **options))],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def starts(folder):
  """The names of the workdirs in which a run has started, once for each time."""
  return pathlib.Path(folder).with_suffix('.starts').read_text().split()


def rows(folder):
  """results.jsonl."""
  return [json.loads(line) for line in (folder / 'results.jsonl').read_text().splitlines()]


if __name__ == '__main__':
  sys.path.insert(0, str(ROOT))
  sys.exit(run(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3])))
