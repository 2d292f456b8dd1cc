"""What a step costs: time and memory against the length of a text, and against depth.

  python experiments/long_context/cost.py [--lengths=256,...] [--depths=2,...] [--output=FOLDER]

A step is the gradient of a loss for one text. By length, of four layers: with full or local
attention, whose backward pass keeps everything, and of a Reformer (arXiv:2001.04451), which hashes
in 4 rounds and goes back through reversible layers. By depth, of Reformers that keep everything,
compute layers again, or go back. Memory is what the compiled program says it needs beside
parameters and gradients; time is the shortest of a few steps. Steps that would need more than
`--limit` GB are compiled alone. Exponents are those of the last half of the points.

Leaves `cost.json` and `cost.png`, and prints tables. Quote times of a machine that does nothing
else.
"""

import argparse
import json
import pathlib
import sys
import time

import jax
import matplotlib
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from vitlab.models import reformer  # noqa: E402
from vitlab.ops.losses import token_cross_entropy  # noqa: E402

KINDS = dict(
  full=dict(attn_layers=('full',), backward='plain'),
  local=dict(attn_layers=('local',), backward='plain'),
  Reformer=dict(attn_layers=('lsh',), backward='reversible'),
)
BACKWARD = ('plain', 'remat', 'reversible')
LENGTHS, DEPTHS = [2**n for n in range(8, 16)], [2, 4, 8, 16, 24]
SIZE = dict(width=128, num_heads=2, mlp_dim=256, dropout_rate=0.0, lsh_chunk=64, local_chunk=64)
matplotlib.use('Agg')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  numbers = lambda text: [int(number) for number in text.split(',')]  # noqa: E731
  parser.add_argument('--lengths', type=numbers, default=LENGTHS)
  parser.add_argument('--depths', type=numbers, default=DEPTHS)
  parser.add_argument('--depth-length', type=int, default=1024, help='of the texts, by depth')
  parser.add_argument('--limit', type=float, default=8.0, help='GB of a step that is run')
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/cost'))
  values = parser.parse_args()
  values.output.mkdir(parents=True, exist_ok=True)
  by_length, by_depth = [], []
  for kind, words in KINDS.items():
    for length in values.lengths:
      cost = measured(length, 4, values.limit, **words)
      by_length.append(dict(kind=kind, length=length, **cost))
      print(by_length[-1], file=sys.stderr, flush=True)
  for backward in BACKWARD:
    for depth in values.depths:
      cost = measured(values.depth_length, depth, values.limit, backward=backward)
      by_depth.append(dict(kind=backward, depth=depth, **cost))
      print(by_depth[-1], file=sys.stderr, flush=True)
  found = dict(by_length=by_length, by_depth=by_depth)
  (values.output / 'cost.json').write_text(json.dumps(found, indent=1))
  show(by_length, 'length')
  show(by_depth, 'depth')
  draw(found, values.output / 'cost.png')


def measured(length: int, depth: int, limit: float, **words) -> dict[str, float | None]:
  """Bytes and seconds of a step; None seconds of one that is too large to be run."""
  model = reformer.make(256, 'mu', context=length, depth=depth, **SIZE | words)
  tokens = jax.random.randint(jax.random.key(0), (1, length + 1), 0, 256)

  def loss(variables, tokens, key):
    logits, _ = model.apply(variables, tokens[:, :-1], True, rngs={'dropout': key})
    return token_cross_entropy(logits, tokens[:, 1:]).mean()

  init = jax.jit(model.init)
  inputs = jax.eval_shape(init, jax.random.key(0), tokens[:, :-1]), tokens, jax.random.key(1)
  step = jax.jit(jax.grad(loss)).lower(*inputs).compile()
  memory = step.memory_analysis().temp_size_in_bytes
  if memory > limit * 1e9:
    return dict(bytes=memory, seconds=None)
  variables = init(jax.random.key(0), tokens[:, :-1])
  seconds = [timed(step, variables, *inputs[1:]) for _ in range(4)][1:]
  return dict(bytes=memory, seconds=min(seconds))


def timed(step, *inputs) -> float:
  start = time.perf_counter()
  jax.block_until_ready(step(*inputs))
  return time.perf_counter() - start


def exponent(rows: list[dict], by: str, what: str) -> float:
  """Of the power law through the last half of the rows that have this number."""
  pairs = np.log([(row[by], row[what]) for row in rows if row[what]])
  pairs = pairs[len(pairs) // 2 :] if len(pairs) > 3 else pairs
  return float(np.polyfit(*pairs.T, 1)[0]) if len(pairs) > 1 else float('nan')


def show(rows: list[dict], by: str) -> None:
  """A table of seconds and megabytes, with the exponents of both."""
  print(f'| {by} | ' + ' | '.join(str(x) for x in sorted({row[by] for row in rows})) + ' | ~ |')
  print('|---' * (len({row[by] for row in rows}) + 2) + '|')
  for kind in dict.fromkeys(row['kind'] for row in rows):
    own = [row for row in rows if row['kind'] == kind]
    for what, unit, scale in (('seconds', 's', 1), ('bytes', 'MB', 1e-6)):
      cells = [f'{row[what] * scale:.3g}' if row[what] else '' for row in own]
      power = f'{by}^{exponent(own, by, what):.2f}'
      print(f'| {kind}, {unit} | ' + ' | '.join(cells) + f' | {power} |')


def draw(found: dict[str, list[dict]], path: pathlib.Path) -> None:
  """Time and memory, above by length, below by depth."""
  from matplotlib import pyplot

  figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), layout='constrained')
  for line, by in zip(axes, ('length', 'depth')):
    rows = found[f'by_{by}']
    for kind in dict.fromkeys(row['kind'] for row in rows):
      own = [row for row in rows if row['kind'] == kind]
      for axis, what, scale in zip(line, ('seconds', 'bytes'), (1, 1e-6)):
        points = [(row[by], row[what] * scale) for row in own if row[what]]
        label = f'{kind}, {by}^{exponent(own, by, what):.2f}'
        axis.plot(*zip(*points), 'o-', label=label)
    for axis, name in zip(line, ('seconds a step', 'MB a step')):
      axis.set(xlabel=by, ylabel=name)
      if by == 'length':
        axis.set(xscale='log', yscale='log')
      else:
        axis.set(ylim=(0, None))
      axis.spines[['top', 'right']].set_visible(False)
      axis.grid(alpha=0.3)
      axis.legend(frameon=False)
  figure.savefig(path, dpi=110)


if __name__ == '__main__':
  main()
