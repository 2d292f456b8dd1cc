"""How far a language model may look back, and what that is worth to it: bits per character.

  python experiments/long_context/look_back.py WAR_AND_PEACE [--seeds=3] [--steps=5000]

The figure of Transformer-XL (arXiv:1901.02860, section 4.4) in small. A Transformer-XL learns
characters of a text with a memory as long as a segment and the same without one, in equal updates;
then both are evaluated with memories of none to four times that length. A GPT that reads as many
characters at once, scored by a window that goes on by an eighth of it, stands beside them, and an
LSTM, whose state has read as many characters before those that are scored. Leaves
`look_back.jsonl`, one line an evaluation, and `look_back.png`, and prints a table of means over
seeds. Run again, it continues.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import matplotlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
matplotlib.use('Agg')
METRIC = 'val/bits_per_character'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('text', type=pathlib.Path)
  parser.add_argument('--seeds', type=int, default=3)
  parser.add_argument('--steps', type=int, default=5000)
  parser.add_argument('--segment', type=int, default=64, help='characters read at once')
  parser.add_argument('--variant', default='tiny')
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/look_back'))
  values = parser.parse_args()
  values.output.mkdir(parents=True, exist_ok=True)
  rows = [row for seed in range(values.seeds) for row in measured(values, seed)]
  lines = ''.join(json.dumps(row) + '\n' for row in rows)
  (values.output / 'look_back.jsonl').write_text(lines)
  means = show(rows)
  draw(means, values.segment, values.output / 'look_back.png')


def measured(values: argparse.Namespace, seed: int) -> list[dict]:
  """Every model of one seed, looking back as far as it may."""
  segment, found = values.segment, []
  words = f'path={values.text},variant={values.variant},steps={values.steps},context={segment}'
  for memory in (segment, 0):
    run = values.output / f'xl_{memory}_{seed}'
    config = f'{ROOT}/configs/transformer_xl_text.py:{words},memory={memory}'
    launch(f'--config={config}', f'--workdir={run}', f'--config.seed={seed}')
    model = 'Transformer-XL' if memory else 'trained without memory'
    for back in (0, segment // 4, segment // 2, segment, 2 * segment, 4 * segment):
      bits = evaluated(run, f'back_{back}', f'--config.model.eval_memory_length={back}')
      found.append(dict(model=model, memory=back, seed=seed, bits=bits))
  run = values.output / f'gpt_{seed}'
  launch(
    f'--config={ROOT}/configs/gpt_text.py:{words}', f'--workdir={run}', f'--config.seed={seed}'
  )
  bits = evaluated(run, 'sliding', f'--config.data.stride={max(1, segment // 8)}')
  found.append(dict(model='GPT, sliding window', memory=0, seed=seed, bits=bits))
  run = values.output / f'lstm_{seed}'
  words = f'path={values.text},steps={values.steps},context={segment}'
  launch(
    f'--config={ROOT}/configs/lstm_text.py:{words}', f'--workdir={run}', f'--config.seed={seed}'
  )
  for back in (segment // 4, segment // 2, segment, 2 * segment, 4 * segment):
    # Half of what is read at once comes before what is scored.
    bits = evaluated(run, f'back_{back}', f'--config.data.eval_context={2 * back}')
    found.append(dict(model='LSTM', memory=back, seed=seed, bits=bits))
  return found


def evaluated(run: pathlib.Path, name: str, *changes: str) -> float:
  """Bits per character of a run that reads in another way."""
  output = run / f'{name}.json'
  if not output.exists():
    launch('--mode=eval', f'--workdir={run}', f'--output={output}', *changes)
  return json.loads(output.read_text())[METRIC]


def launch(*arguments: str) -> None:
  command = [sys.executable, str(ROOT / 'launch.py'), *arguments]
  subprocess.run(command, check=True, stdout=sys.stderr)


def show(rows: list[dict]) -> dict[str, list[tuple[int, float, float]]]:
  """A table; model -> (memory, mean, standard deviation over seeds)."""
  means = {}
  for model in dict.fromkeys(row['model'] for row in rows):
    for memory in dict.fromkeys(row['memory'] for row in rows if row['model'] == model):
      bits = [row['bits'] for row in rows if (row['model'], row['memory']) == (model, memory)]
      spread = statistics.stdev(bits) if len(bits) > 1 else 0.0
      means.setdefault(model, []).append((memory, statistics.mean(bits), spread))
  print('| model | memory | bits per character | standard deviation |')
  print('|---|---|---|---|')
  for model, points in means.items():
    for memory, mean, spread in points:
      print(f'| {model} | {memory} | {mean:.3f} | {spread:.3f} |')
  return means


def draw(means: dict[str, list[tuple]], segment: int, path: pathlib.Path) -> None:
  from matplotlib import pyplot

  figure, axis = pyplot.subplots(figsize=(7, 4.5), layout='constrained')
  for model, points in means.items():
    memory, bits, spread = zip(*points)
    axis.errorbar(memory, bits, spread, marker='o', capsize=3, label=model)
  axis.axvline(segment, color='gray', lw=0.8, ls=':')
  axis.set(xlabel='characters remembered before a segment', ylabel='bits per character')
  axis.spines[['top', 'right']].set_visible(False)
  axis.grid(alpha=0.3)
  axis.legend(frameon=False)
  figure.savefig(path, dpi=110)


if __name__ == '__main__':
  main()
