"""What a run costs beside its steps: its start, waiting for data, saving, logging.

  python experiments/speed/runs.py                                    # configs that need no files
  python experiments/speed/runs.py configs/vit_folder.py:path=photos  # or yours

Every config is trained for a while by launch.py with an empty compile cache and, in a new workdir,
once more with the filled one; everything is read from the events of the runs. `waiting` is the
share of the training in which the devices had nothing to do but wait for a batch, `blocked by a
save` the mean of those that a run made, and `speed` that of the whole training loop, as a share of
that of the bare compiled step on a batch that lies ready.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGS = (
  'configs/vit_digits.py',
  'configs/seq2seq_reverse.py:model=attention',
  'configs/seq2seq_reverse.py:model=transformer',
)
STEPS = 300


def train(config: str, folder: str, name: str, steps: int) -> tuple[float, list[dict]]:
  """Runs launch.py; the time it began and the events of the run."""
  from vitlab.workdir import events

  command = [sys.executable, 'launch.py', f'--config={config}', f'--workdir={folder}/{name}']
  command += [f'--compile_cache={folder}/cache', f'--config.duration={steps} steps']
  begin = time.time()
  subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
  return begin, events.read(pathlib.Path(folder, name))


def bare_step(config: str, steps: int) -> float:
  """Seconds of the compiled step alone, in a process of its own: the median of `steps`."""
  command = [sys.executable, __file__, f'--bare={config}', f'--steps={steps}']
  return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def measure_bare_step(config: str, steps: int) -> float:
  from vitlab.hosts import machine

  machine.prepare()
  import jax

  from vitlab.cli import config_file
  from vitlab.data import pipeline
  from vitlab.train import setup

  built = setup.build(config_file.load(config))
  batches = pipeline.train_batches(
    built.train_source, batch_size=built.config.batch_size, seed=built.config.seed
  )
  rows = [built.put(next(batches)) for _ in range(8)]
  batches.close()
  state, seconds = built.init(), []
  for step in range(steps):
    start = time.perf_counter()
    state, metrics = built.train_step(state, rows[step % len(rows)])
    jax.block_until_ready(metrics)
    seconds.append(time.perf_counter() - start)
  return statistics.median(seconds[len(rows) :])


def total(events: list[dict], event: str, key: str) -> float:
  return sum(each.get(key, 0.0) for each in events if each['event'] == event)


def row(config: str, steps: int) -> str:
  with tempfile.TemporaryDirectory() as folder:
    starts = []
    for name in ('cold', 'warm'):
      begin, events = train(config, folder, name, steps)
      starts.append(next(e['time'] for e in events if e['event'] == 'compile') - begin)
  training, waited = (total(events, 'train', key) for key in ('seconds', 'waited'))
  saves = [each['seconds'] for each in events if each['event'] == 'save']
  first = next(each['step'] for each in events if each['event'] == 'compile')
  per_step = training / (events[-1]['step'] - first)
  cells = [
    f'`{config.removeprefix("configs/")}`',
    f'{starts[0]:.1f}',
    f'{starts[1]:.1f}',
    f'{waited / training:.2%}',
    f'{1e3 * statistics.mean(saves):.0f} ms',
    f'{bare_step(config, steps) / per_step:.1%}',
  ]
  return f'| {" | ".join(cells)} |'


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('configs', nargs='*', default=CONFIGS)
  parser.add_argument('--steps', type=int, default=STEPS)
  parser.add_argument('--bare', help=argparse.SUPPRESS)
  options = parser.parse_args()
  sys.path.insert(0, str(ROOT))
  if options.bare:
    print(measure_bare_step(options.bare, options.steps))
    return
  os.environ.pop('JAX_COMPILATION_CACHE_DIR', None)
  print('| config | first step, cold (s) | warm (s) | waiting | blocked by a save | speed |')
  print('|---|---|---|---|---|---|')
  for config in options.configs:
    print(row(config, options.steps), flush=True)


if __name__ == '__main__':
  main()
