"""Damages a checkpoint of a real run in random places: nothing may come back silently wrong.

  python experiments/reliability/bit_flips.py               # 500 damages, 2 minutes on 2 cores
  python experiments/reliability/bit_flips.py --count=1000 --seed=1

Each time one file of the newest of two checkpoints is damaged and the run restored. Allowed is the
newest state, exactly, or the older one with a warning that names the newest. Beside it stands what
the storage library restores by itself. Exits with 1 if anything came back wrong.
"""

import argparse
import collections
import contextlib
import logging
import pathlib
import random
import sys
import tempfile

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import orbax.checkpoint as ocp

from vitlab.cli import config_file
from vitlab.train import setup
from vitlab.workdir.checkpoint import Checkpoints

CONFIG = pathlib.Path(__file__).resolve().parents[2] / 'configs' / 'vit_digits.py:smoke'


def flip(content, chance):
  """One bit."""
  position = chance.randrange(8 * len(content))
  content[position // 8] ^= 1 << position % 8
  return content


def truncate(content, chance):
  """The end is missing."""
  return content[: chance.randrange(len(content))]


def zero(content, chance):
  """A page that was never written."""
  start = chance.randrange(len(content))
  content[start : start + 4096] = bytes(len(content[start : start + 4096]))
  return content


def delete(content, chance):
  """The file is gone."""
  del content, chance


DAMAGES = {'bit flip': flip, 'truncation': truncate, 'zeros': zero, 'deletion': delete}
SHARES = (6, 2, 1, 1)  # out of ten


def equal(state, expected):
  """Bit for bit, by plain comparison."""
  pairs = zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True)
  return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def restore(directory, abstract, expected, warnings):
  """What vitlab makes of the damage: 'harmless', 'noticed' or 'wrong'."""
  warnings.clear()
  found = Checkpoints(directory, read_only=True).restore(abstract)
  meta = {'config': {'step': found.step}}
  exact = equal(found.state, expected[found.step]) and found.meta == meta
  if found.step == 2:
    return 'harmless' if exact and not warnings else 'wrong'
  named = len(warnings) == 1 and 'damaged checkpoint 2 ' in warnings[0]
  return 'noticed' if exact and named else 'wrong'


def restore_plain(directory, abstract, expected):
  """What orbax alone makes of it."""
  path = directory / '2' / 'state'
  try:
    state = ocp.StandardCheckpointHandler().restore(path, args=ocp.args.StandardRestore(abstract))
  except Exception:
    return 'noticed'
  return 'harmless' if equal(state, expected[2]) else 'wrong'


def noise(state, seed):
  """The state with values that do not compress, as after long training; counters stay."""
  values = np.random.default_rng(seed)

  def leaf(x):
    if x.ndim == 0:
      return x
    return jax.device_put(values.normal(size=x.shape).astype(x.dtype), x.sharding)

  return jax.tree.map(leaf, state)


def save(directory, built):
  """Two checkpoints of different states; the states by step."""
  states = {step: noise(built.init(), step) for step in (1, 2)}
  with contextlib.closing(Checkpoints(directory)) as checkpoints:
    for step, state in states.items():
      checkpoints.save(step, state, {'config': {'step': step}})
  return states


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--count', type=int, default=500)
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  chance = random.Random(options.seed)
  warnings = []
  logger, handler = logging.getLogger('vitlab'), logging.Handler()
  handler.emit = lambda record: warnings.append(record.getMessage())
  logger.addHandler(handler)
  logger.propagate = False
  table = collections.defaultdict(collections.Counter)
  with tempfile.TemporaryDirectory() as folder:
    directory = pathlib.Path(folder)
    built = setup.build(config_file.load(str(CONFIG), []))
    states = save(directory, built)
    files = sorted(p for p in (directory / '2').rglob('*') if p.is_file() and p.stat().st_size)
    contents = {path: path.read_bytes() for path in files}
    weights = [len(content) for content in contents.values()]
    for _ in range(options.count):
      kind = chance.choices(list(DAMAGES), SHARES)[0]
      # By size for flips, as a disk would; else any file alike.
      path = chance.choices(files, weights if kind == 'bit flip' else None)[0]
      content = DAMAGES[kind](bytearray(contents[path]), chance)
      path.unlink() if content is None else path.write_bytes(content)
      table[kind]['vitlab', restore(directory, built.abstract_state, states, warnings)] += 1
      table[kind]['orbax', restore_plain(directory, built.abstract_state, states)] += 1
      path.write_bytes(contents[path])
  columns = [
    (who, what) for who in ('vitlab', 'orbax') for what in ('noticed', 'harmless', 'wrong')
  ]
  print(f'{"":12}' + ''.join(f'{" ".join(column):>17}' for column in columns))
  for kind in [*DAMAGES, 'all']:
    row = sum(table.values(), collections.Counter()) if kind == 'all' else table[kind]
    print(f'{kind:12}' + ''.join(f'{row[column]:17}' for column in columns))
  return int(any(row['vitlab', 'wrong'] for row in table.values()))


if __name__ == '__main__':
  sys.exit(main())
