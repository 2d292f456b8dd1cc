"""What attention is worth in translation: three models on Multi30k, one after the other.

  python experiments/multi30k/run.py FOLDER [--target=fr] [--output=runs/multi30k]

Trains `rnn_multi30k`, `rnn_attention_multi30k` and `transformer_multi30k` as they stand, writes the
page that compares them, and `curves.png`: BLEU by length and validation loss by minutes. Run again,
it continues. Quote numbers of a machine that does nothing else.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import matplotlib
import matplotlib.ticker
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = {'rnn': 'RNN', 'rnn_attention': 'RNN + attention', 'transformer': 'Transformer'}
matplotlib.use('Agg')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('folder')
  parser.add_argument('--target', default='fr')
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/multi30k'))
  values = parser.parse_args()
  runs = {name: values.output / name for name in MODELS}
  for name, run in runs.items():
    config = f'configs/{name}_multi30k.py:path={values.folder},target={values.target}'
    launch(f'--config={config}', f'--workdir={run}')
  launch('--mode=report', *map(str, runs.values()), f'--output={values.output}/comparison.html')
  for name, run in runs.items():
    result = json.loads((run / 'result.json').read_text())
    metrics = result['metrics']
    print(
      f'{MODELS[name]:16} {result["parameters"]:>10,} parameters  '
      f'{result["seconds"] / 60:5.1f} min  '
      f'BLEU {metrics["test/bleu"]:.1f}  chrF {metrics["test/chrf"]:.1f}  '
      f'perplexity {metrics["test/perplexity"]:.2f}'
    )
  draw(runs, values.output / 'curves.png')


def launch(*arguments: str) -> None:
  subprocess.run([sys.executable, str(ROOT / 'launch.py'), *arguments], check=True)


def draw(runs: dict[str, pathlib.Path], path: pathlib.Path) -> None:
  """Left BLEU by length, right what it took to learn."""
  from matplotlib import pyplot

  figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout='constrained')
  for name, run in runs.items():
    with np.load(run / 'details' / 'test.npz') as arrays:
      often = arrays['bleu_count'] >= 20  # BLEU of a few sentences is noise
      left.plot(
        arrays['bleu_length'][often], arrays['length_bleu'][often], 'o-', label=MODELS[name]
      )
    rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    minutes = [row['time/seconds'] / 60 for row in rows]
    right.plot(minutes, [row['train/token_accuracy'] for row in rows], label=MODELS[name], lw=1)
  left.set(xlabel='tokens of the source, up to', ylabel='BLEU', ylim=(0, None))
  left.xaxis.set_major_locator(matplotlib.ticker.MultipleLocator(5))
  right.set(xlabel='minutes', ylabel='token accuracy in training', ylim=(0, 1))
  for axes in (left, right):
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(alpha=0.3)
  left.legend(frameon=False)
  figure.savefig(path, dpi=110)


if __name__ == '__main__':
  main()
