"""A model against timm's, in one run: forward pass and full AdamW training step.

  python experiments/speed/models.py --model=vit    # or swin, tnt, resnet; float32, 2 threads
  python experiments/speed/models.py --first-step   # seconds from process start to the first step
  python experiments/speed/models.py --platform=gpu --variant=B/16 --batch=256 --dtype=bfloat16

Needs `tests/requirements.txt`. Every subject lives in a process of its own and computes nothing but
when asked; the order is shuffled every round; before anything is timed, all must give the logits of
the same weights. Quote the ratios of one run, never times across runs.
"""

import argparse
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve()


class Peer(NamedTuple):
  """What timm has of a family, and what is timed of it."""

  names: dict[str, str]  # variant -> timm's name; the first is the default
  batches: dict[str, int]  # work -> images
  words: dict[str, str] = {}  # of our spec, where its defaults are not timm's


MODELS = {
  'vit': Peer(
    {
      'Ti/16': 'vit_tiny_patch16_224',
      'S/16': 'vit_small_patch16_224',
      'B/16': 'vit_base_patch16_224',
      'L/16': 'vit_large_patch16_224',
    },
    dict(forward=8, train=8),
    dict(mlp='gelu'),
  ),
  'swin': Peer(
    {
      'T': 'swin_tiny_patch4_window7_224',
      'S': 'swin_small_patch4_window7_224',
      'B': 'swin_base_patch4_window7_224',
    },
    dict(forward=4, train=2),
  ),
  'tnt': Peer({'S': 'tnt_s_patch16_224', 'B': 'tnt_b_patch16_224'}, dict(forward=4, train=2)),
  'resnet': Peer({n: f'resnet{n}' for n in ('50', '18', '34', '101')}, dict(forward=8, train=8)),
}
SUBJECTS = {
  'torch eager': 'torch',
  'torch.compile': 'torch',
  'vitlab': 'jax',
  'vitlab, 2 host devices': 'jax',
}
PEER = 'torch.compile'
WORKS = ('forward', 'train')


def parse_args():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model', default='vit', choices=MODELS)
  parser.add_argument('--variant', help="S/16, T, ...; by default timm's smallest")
  parser.add_argument('--batch', type=int, help='of both works; by default what suits 2 cores')
  parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16'])
  parser.add_argument('--platform', default='cpu', choices=['cpu', 'gpu'])
  parser.add_argument('--threads', type=int, default=2)
  parser.add_argument('--rounds', type=int, default=9)
  parser.add_argument('--seconds', type=float, default=1.0, help='of one sample')
  parser.add_argument('--first-step', action='store_true', help='measure the start instead')
  parser.add_argument('--subject', help=argparse.SUPPRESS)
  parser.add_argument('--folder', help=argparse.SUPPRESS)
  args = parser.parse_args()
  peer = MODELS[args.model]
  args.variant = args.variant or next(iter(peer.names))
  if args.variant not in peer.names:
    parser.error(f'--variant={args.variant}: {args.model} has {", ".join(peer.names)} here')
  args.timm, args.words = peer.names[args.variant], peer.words
  args.batches = dict.fromkeys(WORKS, args.batch) if args.batch else peer.batches
  return args


def main():
  args = parse_args()
  if args.subject:
    serve(args)
  elif args.first_step:
    print_first_step(args)
  else:
    print_table(args)


def serve(args):
  """Answers each line ('forward' or 'train') with the seconds of one call."""
  import subjects

  works = getattr(subjects, f'{SUBJECTS[args.subject]}_works')(args)
  if args.first_step:
    works['train']()
    print('done', flush=True)
    return
  import numpy as np

  np.save(f'{args.folder}/{args.subject}.npy', works['logits']())
  for _ in range(3):
    works['forward'](), works['train']()
  print('ready', flush=True)
  for line in sys.stdin:
    work = works[line.strip()]
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < args.seconds:
      work()
      calls += 1
    print((time.perf_counter() - start) / calls, flush=True)


def start(args, subject, folder):
  environment = os.environ | {'OMP_NUM_THREADS': str(args.threads), 'PYTHONPATH': HERE.parents[2]}
  if args.platform == 'cpu':
    environment['JAX_PLATFORMS'] = 'cpu'
  command = [sys.executable, HERE, *sys.argv[1:], f'--subject={subject}', f'--folder={folder}']
  pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
  return subprocess.Popen(command, env=environment, **pipes)


def ask(process, work):
  process.stdin.write(work + '\n')
  process.stdin.flush()
  return float(process.stdout.readline())


def print_table(args):
  import numpy as np

  subjects = [s for s in SUBJECTS if args.platform == 'cpu' or '2 host' not in s]
  samples = {(s, work): [] for s in subjects for work in WORKS}
  with tempfile.TemporaryDirectory() as folder:
    processes = {}
    for subject in sorted(subjects, key=lambda s: SUBJECTS[s] != 'torch'):
      print(f'preparing {subject} ...', file=sys.stderr)
      processes[subject] = start(args, subject, folder)
      processes[subject].stdout.readline()
    logits = {s: np.load(f'{folder}/{s}.npy') for s in subjects if s != 'torch eager'}
    far = max(np.abs(x - logits[PEER]).max() for x in logits.values())
    print(f'largest difference of a logit between subjects with the same weights: {far:.1e}')
    for _ in range(args.rounds):
      for subject, work in random.sample(sorted(samples), len(samples)):
        samples[subject, work].append(ask(processes[subject], work))
    for process in processes.values():
      process.stdin.close()
      process.wait()
  print(f'{args.model} {args.variant}, 224 px, {args.dtype}, {args.platform}, ', end='')
  print(f'{args.threads} threads; median ms of {args.rounds} rounds (ratio against {PEER})\n')
  titles = [f'{work}, batch {args.batches[work]}' for work in WORKS]
  print(f'| {"":24s} | {titles[0]:>18s} | {titles[1]:>18s} |\n|---|---|---|')
  for subject in subjects:
    cells = []
    for work in WORKS:
      median, peer = (statistics.median(samples[s, work]) for s in (subject, PEER))
      cells.append(f'{1e3 * median:8.1f} ({peer / median:.2f})')
    print(f'| {subject:24s} | {cells[0]:>18s} | {cells[1]:>18s} |')


def print_first_step(args):
  print('seconds from process start to the end of the first training step')
  for subject in ('torch eager', PEER, 'vitlab'):
    with tempfile.TemporaryDirectory() as folder:
      os.environ['TORCHINDUCTOR_CACHE_DIR'] = f'{folder}/torch'
      os.environ['JAX_COMPILATION_CACHE_DIR'] = f'{folder}/jax'
      os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
      cold, warm = first_step(args, subject, folder), first_step(args, subject, folder)
    print(f'{subject:16s} cold {cold:5.1f}   warm cache {warm:5.1f}')


def first_step(args, subject, folder):
  begin = time.perf_counter()
  process = start(args, subject, folder)
  process.stdout.readline()
  seconds = time.perf_counter() - begin
  process.wait()
  return seconds


if __name__ == '__main__':
  main()
