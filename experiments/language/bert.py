"""Does a small BERT that guessed words of film reviews tell good from bad better than a new one?

  python experiments/language/bert.py ACL_IMDB SST2 [--seeds=3] [--output=runs/bert]

ACL_IMDB is the archive of film reviews (Maas et al. 2011), SST2 a folder with train.tsv, dev.tsv
and test.tsv. BERT-mini (4 layers of 256) learns to guess hidden words of the training reviews; then
it is fine-tuned on labels, of SST-2 and of the reviews, beside the same model without that start.
The checkpoint is chosen on dev (the reviews have none: the last one counts), scored on test.
Appends one JSON object a run to OUTPUT/results.jsonl; what is there is not run again.
"""

import argparse
import itertools
import json
import os
import pathlib
import resource
import subprocess
import sys
import tarfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
HELD_OUT = 250  # reviews of 'train' whose hidden words are guessed to see how far it is
TEXT_LENGTH = dict(sst2=64, imdb=256)
EPOCHS = dict(sst2=2, imdb=2)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('reviews', type=pathlib.Path)
  parser.add_argument('sst2', type=pathlib.Path)
  parser.add_argument('--seeds', type=int, default=3)
  parser.add_argument(
    '--steps', type=int, default=2400, help='of pre-training: 45 minutes of a core'
  )
  parser.add_argument('--sets', default='sst2,imdb')
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/bert'))
  parser.add_argument('--only', default='', help='one run, in this process: SET,START,SEED')
  values = parser.parse_args()
  if values.only:
    name, start, seed = values.only.split(',')
    found = pretrain(values) if name == 'text' else classify(values, name, start, int(seed))
    print(json.dumps(dict(run=name, start=start, seed=int(seed)) | found))
    return
  text = values.output / 'text'
  if not text.exists():
    write_text(values.reviews, text)
  runs = [('text', 'none', 0)]
  runs += itertools.product(values.sets.split(','), ('text', 'none'), range(values.seeds))
  file = values.output / 'results.jsonl'
  rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
  done = {(row['run'], row['start'], row['seed']) for row in rows}
  for run in runs:
    if run in done:
      continue
    before, start = _processor_seconds(), time.time()
    command = [sys.executable, __file__, *sys.argv[1:], f'--only={run[0]},{run[1]},{run[2]}']
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=_environment())
    found = json.loads(out.stdout.splitlines()[-1])
    found |= dict(cpu_seconds=_processor_seconds() - before, seconds=time.time() - start)
    with open(file, 'a') as lines:
      lines.write(json.dumps(found) + '\n')
    print(json.dumps(found), flush=True)


def _environment() -> dict[str, str]:
  return os.environ | dict(JAX_PLATFORMS='cpu')


def _processor_seconds() -> float:
  used = resource.getrusage(resource.RUSAGE_CHILDREN)
  return used.ru_utime + used.ru_stime


def write_text(archive: pathlib.Path, folder: pathlib.Path) -> None:
  """The training reviews without their labels, a paragraph each: train.txt and val.txt."""
  with tarfile.open(archive) as tar:
    members = [
      m for m in tar if m.isfile() and '/train/' in f'/{m.name}' and m.name.endswith('.txt')
    ]
    reviews = {m.name: tar.extractfile(m).read().decode() for m in members}
  names = sorted(reviews, key=lambda name: pathlib.PurePath(name).name)  # good and bad in turn
  lines = [' '.join(reviews[name].replace('<br />', ' ').split()) for name in names]
  folder.mkdir(parents=True)
  (folder / 'train.txt').write_text('\n\n'.join(lines[HELD_OUT:]), 'utf-8')
  (folder / 'val.txt').write_text('\n\n'.join(lines[:HELD_OUT]), 'utf-8')


def pretrain(values: argparse.Namespace) -> dict:
  """BERT-mini guesses hidden words: as configs/bert_pretrain_text.py, by Muon."""
  import bert_pretrain_text

  from vitlab.train import run

  config = bert_pretrain_text.get_config(f'path={values.output / "text"},steps={values.steps}')
  config.batch_size = 32
  config.model.update(norm_place='pre', position_embedding='rope', dropout_rate=0.0)
  config.task.share = 0.2
  config.optim = dict(PRETRAIN)
  config.log_every = '50 steps'
  result = run.train(config, str(values.output / 'pretrained'))
  return dict(steps=result['steps']) | _under('val/', result['metrics'])


PRETRAIN = dict(
  name='muon',
  learning_rate=5e-3,
  schedule='linear',
  warmup='5%',
  weight_decay=0.01,
  clip_norm=1.0,
)


def classify(values: argparse.Namespace, name: str, start: str, seed: int) -> dict:
  """Fine-tunes as configs/bert_classify.py, or learns the same from nothing."""
  import bert_classify

  from vitlab import workdir
  from vitlab.predict import evaluation
  from vitlab.train import run

  path = values.sst2 if name == 'sst2' else values.reviews
  pretrained = values.output / 'pretrained'
  config = bert_classify.get_config(
    f'weights={pretrained},path={path},length={TEXT_LENGTH[name]},epochs={EPOCHS[name]}'
  )
  config.seed = seed
  config.optim.learning_rate = 5e-4
  config.batch_size = 32
  with config.unlocked():
    if start == 'none':
      config.init_from = None
      config.model.update(variant='mini', norm_place='pre', position_embedding='rope')
    config.evaluators.test.every, config.checkpoint.best = '100%', ''
    if name == 'sst2':
      config.evaluators.val = dict(name='text_classification', split='val', every='10%')
      config.checkpoint.best = 'val/accuracy'
  folder = str(values.output / f'{name}_{start}_{seed}')
  steps = run.train(config, folder)['steps']
  scores = evaluation.evaluate(folder, workdir.stored_config(folder))  # the best checkpoint of val
  return dict(steps=steps) | scores


def _under(prefix: str, metrics: dict[str, float]) -> dict[str, float]:
  return {name: value for name, value in metrics.items() if name.startswith(prefix)}


if __name__ == '__main__':
  sys.path.insert(0, str(ROOT / 'configs'))
  main()
