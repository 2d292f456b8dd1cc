"""Does a text teach more when it is said in random orders than when its hidden words are guessed?

  python experiments/language/xlnet_bert.py ACL_IMDB SST2 [--seeds=3] [--steps=3000]

XLNet (arXiv:1906.08237, section 3.2) against BERT, both of 2 layers of 128 and both by the one
recipe of configs/xlnet_text.py and configs/bert_pretrain_text.py: the same reviews, the same words,
as many of them said as hidden, equal updates. Compared are the hidden words that they guess, which
for XLNet is saying all of them at once, and what either is worth to SST-2, which both then learn.
The files are those of bert.py. Leaves one workdir a run in OUTPUT, and prints a table of means and
standard deviations over seeds. Run again, it continues.
"""

import argparse
import importlib
import pathlib
import statistics
import sys

from ml_collections import ConfigDict

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / 'configs')]

import bert  # noqa: E402
import bert_classify  # noqa: E402

from vitlab.train import run  # noqa: E402

LENGTH, SHARE = 128, 0.15
GUESSED = dict(bert='val/masked_accuracy', xlnet='val_at_once/masked_accuracy')
CONFIGS = dict(bert='bert_pretrain_text', xlnet='xlnet_text')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('reviews', type=pathlib.Path)
  parser.add_argument('sst2', type=pathlib.Path)
  parser.add_argument('--seeds', type=int, default=3)
  parser.add_argument('--steps', type=int, default=3000)
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/xlnet_bert'))
  values = parser.parse_args()
  text = values.output / 'text'
  if not text.exists():
    bert.write_text(values.reviews, text)
  rows = {name: [measured(values, name, s) for s in range(values.seeds)] for name in CONFIGS}
  print('| | hidden words guessed | SST-2, test | the same from nothing | s of pre-training |')
  print('|---|---|---|---|---|')
  for name, found in rows.items():
    columns = list(zip(*found))
    cells = [_mean(column, 100, ' %') for column in columns[:3]] + [_mean(columns[3], 1, '')]
    print(f'| {name} | {" | ".join(cells)} |')


def measured(values: argparse.Namespace, name: str, seed: int) -> tuple[float, ...]:
  """Of one model and seed: words guessed, test accuracy with and without them, seconds."""
  start = values.output / f'{name}_{seed}'
  words = f'path={values.output / "text"},variant=tiny,length={LENGTH},steps={values.steps}'
  config = importlib.import_module(CONFIGS[name]).get_config(words)
  config.data.tokenizer, config.task.share, config.optim.learning_rate = 'wordpiece', SHARE, 1e-3
  said = train(config, start, seed)
  found = []
  for taught in (True, False):
    config = bert_classify.get_config(
      f'weights={start},path={values.sst2},length=64,epochs=2,model={name}'
    )
    config.optim.learning_rate = 5e-4
    with config.unlocked():
      config.init_from.fresh = '' if taught else '.*'
    result = train(config, values.output / f'{name}_{"taught" if taught else "new"}_{seed}', seed)
    found.append(result['metrics']['test/accuracy'])
  return said['metrics'][GUESSED[name]], *found, said['seconds']


def train(config: ConfigDict, folder: pathlib.Path, seed: int) -> dict:
  """The result of a run, at its last step."""
  config.seed, config.checkpoint.best = seed, ''
  return run.train(config, str(folder))


def _mean(numbers: tuple[float, ...], factor: float, unit: str) -> str:
  spread = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
  return f'{factor * statistics.mean(numbers):.1f} ± {factor * spread:.1f}{unit}'


if __name__ == '__main__':
  main()
