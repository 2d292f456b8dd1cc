"""How well does a GPT of characters learn Shakespeare in nanoGPT's CPU recipe, and in its minutes?

  python experiments/language/shakespeare.py INPUT_TXT [--seeds=5] [--output=runs/shakespeare]

INPUT_TXT is karpathy/char-rnn's tinyshakespeare. Three runs a seed, one after the other: the recipe
(4 layers of 128, context 64, 12 rows, 2,000 steps) in plain PyTorch, the same in vitlab, and a
recipe of vitlab's own, with as many steps as fit into the seconds of processor time that PyTorch's
training took. All are scored on the whole validation text, in windows of the context as nanoGPT
cuts it and sliding by half of it. Appends one JSON object a run to OUTPUT/results.jsonl; what is
there is not run again.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
CONTEXT, ROWS, STEPS = 64, 12, 2000
RECIPE = dict(peak=1e-3, b2=0.99, decay=0.1, warmup=100)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('text', type=pathlib.Path)
  parser.add_argument('--seeds', type=int, default=5)
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/shakespeare'))
  parser.add_argument('--only', default='', help='one run, in this process: NAME,SEED,SECONDS')
  values = parser.parse_args()
  if values.only:
    name, seed, seconds = values.only.split(',')
    found = RUNS[name](values.text, int(seed), float(seconds))
    print(json.dumps(found | dict(run=name, seed=int(seed))))
    return
  values.output.mkdir(parents=True, exist_ok=True)
  file = values.output / 'results.jsonl'
  done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
  for seed in range(values.seeds):
    for name in RUNS:
      if any((x['run'], x['seed']) == (name, seed) for x in done):
        continue
      budget = [x['cpu_seconds'] for x in done if x['run'] == 'torch']
      only = f'--only={name},{seed},{np.median(budget) if budget else 0:.1f}'
      start = time.time()
      out = subprocess.run(
        [sys.executable, __file__, str(values.text), only],
        check=True, stdout=subprocess.PIPE, text=True, env=os.environ | dict(JAX_PLATFORMS='cpu'),
      )  # fmt: skip
      found = json.loads(out.stdout.splitlines()[-1]) | dict(seconds=time.time() - start)
      done.append(found)
      with open(file, 'a') as rows:
        rows.write(json.dumps(found) + '\n')
      print(
        ' '.join(f'{k}={x:.4g}' if isinstance(x, float) else f'{k}={x}' for k, x in found.items())
      )


def with_torch(text: pathlib.Path, seed: int, seconds: float) -> dict:
  """The recipe in plain PyTorch."""
  import plain_gpt
  import torch
  import torch.nn.functional as F

  del seconds
  torch.manual_seed(seed)
  content = text.read_text()
  letters = {letter: i for i, letter in enumerate(sorted(set(content)))}
  numbers = torch.tensor([letters[letter] for letter in content])
  cut = int(0.9 * len(numbers))
  train, val = numbers[:cut], numbers[cut:]
  model = plain_gpt.GPT(len(letters), CONTEXT, 128, 4, 4)
  start = time.process_time()
  optimizer = plain_gpt.optimizer(model, RECIPE['peak'], RECIPE['b2'], RECIPE['decay'])
  for step in range(STEPS):
    for group in optimizer.param_groups:
      group['lr'] = plain_gpt.rate_at(step, STEPS, RECIPE['peak'], RECIPE['warmup'])
    starts = torch.randint(len(train) - CONTEXT, (ROWS,)).tolist()
    rows = torch.stack([train[i : i + CONTEXT + 1] for i in starts])
    logits = model(rows[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

  spent = time.process_time() - start

  @torch.no_grad()
  def score(stride: int) -> float:
    """Nats a character; each scored once, the last `stride` of every window."""
    starts = torch.arange(0, len(val) - CONTEXT - 1, stride)
    total, count = 0.0, 0
    for part in starts.split(256):
      rows = torch.stack([val[i : i + CONTEXT + 1] for i in part.tolist()])
      logits = model(rows[:, :-1])
      losses = F.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction='none')
      losses = losses[:, -stride:]
      total, count = total + float(losses.sum()), count + losses.numel()
    return total / count

  found = dict(val=score(CONTEXT), val_sliding=score(CONTEXT // 2))
  return dict(found, steps=STEPS, cpu_seconds=spent)


def config_of(text: pathlib.Path, seed: int):
  """The recipe for vitlab."""
  from vitlab.config import base

  config = base()
  config.seed, config.duration, config.batch_size = seed, f'{STEPS} steps', ROWS
  config.data = dict(name='text', path=str(text), context=CONTEXT, stride=CONTEXT)
  config.model = dict(
    name='gpt', variant='tiny', vocab_size=None, context=None, mlp='gelu', dropout_rate=0.0
  )
  config.task = dict(name='language_model')
  config.optim = dict(
    name='adamw',
    learning_rate=RECIPE['peak'],
    final_learning_rate=RECIPE['peak'] / 10,
    schedule='cosine',
    warmup=f'{RECIPE["warmup"]} steps',
    weight_decay=RECIPE['decay'],
    b2=RECIPE['b2'],
    clip_norm=1.0,
  )
  config.log_every = '500 steps'
  config.checkpoint.every = '100%'
  return config


def with_vitlab(text: pathlib.Path, seed: int, seconds: float) -> dict:
  """The recipe in vitlab."""
  del seconds
  return _trained(config_of(text, seed))


def with_own_recipe(text: pathlib.Path, seed: int, seconds: float) -> dict:
  """What vitlab makes of the same seconds: see `OWN`."""
  config = config_of(text, seed)
  del config.optim.b2
  config.update_from_flattened_dict(OWN)
  config.duration = f'{int(max(seconds - START, 1) / STEP)} steps'
  return _trained(config)


# Measured on two cores of an AMD EPYC: processor seconds of start and end, and of a step.
START, STEP = 18.0, 0.105
OWN = {
  'batch_size': 16,
  'model.position_embedding': 'rope',
  'model.norm': 'rmsnorm',
  'model.qk_norm': True,
  'optim.name': 'muon',
  'optim.learning_rate': 6e-3,
  'optim.final_learning_rate': 0.0,
  'optim.schedule': 'linear',
  'optim.warmup': '20 steps',
}


def _trained(config) -> dict:
  import tempfile

  from vitlab.predict import evaluation
  from vitlab.train import run

  start, found = time.process_time(), {}
  with config.unlocked(), tempfile.TemporaryDirectory() as folder:
    result = run.train(config, folder)
    spent = time.process_time() - start  # compilation and checkpoint too
    config.evaluators.val = dict(name='perplexity', split='val', sizes=None, every='100%')
    for name, stride in (('val', CONTEXT), ('val_sliding', CONTEXT // 2)):
      config.data.stride, config.batch_size = stride, 256
      found[name] = evaluation.evaluate(folder, config)['val/loss']
  return dict(found, steps=result['steps'], cpu_seconds=spent)


RUNS = dict(torch=with_torch, vitlab=with_vitlab, own=with_own_recipe)


if __name__ == '__main__':
  main()
