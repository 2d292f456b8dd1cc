"""Runs that take seconds: a config, what they leave behind, and a program that trains them.

As a program: `python runs.py <workdir> '<json of overrides>'`.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
TESTS = ROOT / 'tests'


def config(**overrides):
  """Digits, a one-block ViT with everything that draws random numbers; a.b=value as a__b=value."""
  from vitlab import config as config_lib

  config = config_lib.base()
  config.data = dict(name='digits')
  config.model = dict(
    name='vit',
    variant='Ti/4',
    width=8,
    depth=1,
    num_heads=2,
    mlp_dim=8,
    dropout_rate=0.1,
    num_classes=None,
  )
  config.task = dict(name='classification', num_classes=None, augment='random_crop(padding=1)')
  config.optim = dict(name='adamw', learning_rate=1e-2, schedule='cosine', warmup='2 steps')
  config.evaluators = dict(test=dict(name='classification', every='6 steps'))
  config.duration = '20 steps'
  config.batch_size = 32
  config.ema_decay = 0.9
  config.log_every = '4 steps'
  config.checkpoint.every = '5 steps'
  config.checkpoint.best = 'test/accuracy'
  for key, value in overrides.items():
    *parents, name = key.split('__')
    node = config
    for parent in parents:
      node = node[parent]
    node[name] = value
  return config


def rows(folder):
  """The rows of metrics.jsonl as they lie there, without the times, which nobody can repeat."""
  lines = (pathlib.Path(folder) / 'metrics.jsonl').read_text().splitlines()
  return [
    {name: x for name, x in json.loads(line).items() if not name.startswith('time/')}
    for line in lines
  ]


def result(folder):
  """result.json without what differs between two runs of the same thing."""
  found = json.loads((pathlib.Path(folder) / 'result.json').read_text())
  return {key: found[key] for key in ('metrics', 'best', 'steps', 'fingerprint')}


def start(folder, **overrides):
  """Starts a run in a process, and process group, of its own."""
  return subprocess.Popen(
    [sys.executable, __file__, str(folder), json.dumps(overrides)],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    start_new_session=True,
  )


def main():
  sys.path.insert(0, str(ROOT))
  import jax

  jax.config.update('jax_compilation_cache_dir', str(ROOT / '.jax_cache'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  jax.config.update('jax_platforms', 'cpu')
  from vitlab.train.run import train

  train(config(**json.loads(sys.argv[2])), sys.argv[1])


if __name__ == '__main__':
  main()
