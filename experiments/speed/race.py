"""What the measurements here share: who runs, and the shuffled rounds in which they do.

Every subject lives in a process of its own, the program itself with `--subject`, and computes
nothing but when asked; the order is shuffled every round; before anything is timed, all must give
the same answers from the same weights. Quote the ratios of one run, never times across runs.
"""

import argparse
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
PLAIN = 'plain Flax'
ALL_INSTRUCTIONS = 'torch.compile, AVX-512'
LESS_MEMORY = 'vitlab, scan and remat'
SUBJECTS = {
  'torch eager': 'torch',
  'torch.compile': 'torch',
  ALL_INSTRUCTIONS: 'torch',
  PLAIN: 'flax',
  'vitlab': 'jax',
  LESS_MEMORY: 'jax',
  'vitlab, 2 host devices': 'jax',
}
PEER = 'torch.compile'
USUAL = ('torch eager', PEER, 'vitlab', 'vitlab, 2 host devices')
SIZES = dict(cpu=2048, gpu=8192)  # rows of the matrices whose product says what is possible
Works = dict[str, Callable[[], Any]]


def make_parser(description: str) -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(description=description)
  parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16'])
  parser.add_argument('--threads', type=int, default=2)
  parser.add_argument('--rounds', type=int, default=9)
  parser.add_argument('--seconds', type=float, default=1.0, help='of one sample')
  parser.add_argument('--subject', help=argparse.SUPPRESS)
  parser.add_argument('--folder', help=argparse.SUPPRESS)
  parser.set_defaults(platform='cpu')
  return parser


def serve(args: argparse.Namespace, works: Works, answers: Callable[[], dict]):
  """Answers each line, the name of a work, with the seconds of one call."""
  import numpy as np

  np.savez(f'{args.folder}/{args.subject}.npz', **answers())
  for work in works.values():
    for _ in range(3):
      work()
  print('ready', flush=True)
  for line in sys.stdin:
    print(sample(works[line.strip()], args.seconds), flush=True)


def sample(work: Callable[[], Any], seconds: float) -> float:
  """Seconds of one call, of as many as there is time for."""
  for _ in range(2):  # the first is untimed: a process that has slept is slow for a while
    calls, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
      work()
      calls += 1
  return passed / calls


def start(args: argparse.Namespace, subject: str, folder: str) -> subprocess.Popen:
  """This program once more, as one subject."""
  environment = os.environ | {'OMP_NUM_THREADS': str(args.threads), 'PYTHONPATH': HERE.parents[1]}
  environment['JAX_PLATFORMS'] = 'cpu'
  if subject == ALL_INSTRUCTIONS:
    environment['LD_PRELOAD'] = _all_instructions(folder)
  command = [sys.executable, *sys.argv, f'--subject={subject}', f'--folder={folder}']
  pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
  return subprocess.Popen(command, env=environment, **pipes)


def possible(subjects: Sequence[str]) -> list[str]:
  """Those that this machine can have; what MKL would do by itself is no subject of its own."""
  cpu = pathlib.Path('/proc/cpuinfo')
  if cpu.exists() and 'AuthenticAMD' in cpu.read_text() and shutil.which('cc'):
    return list(subjects)
  return [subject for subject in subjects if subject != ALL_INSTRUCTIONS]


def _all_instructions(folder: str) -> str:
  """A library that, loaded first, lets MKL use on AMD what it uses on Intel."""
  library, source = f'{folder}/all.so', 'int mkl_serv_intel_cpu_true(void) { return 1; }'
  command = ['cc', '-shared', '-fPIC', '-x', 'c', '-', '-o', library]
  subprocess.run(command, input=source, text=True, check=True)
  return library


def measure(
  args: argparse.Namespace,
  works: Sequence[str],
  compare: Callable[[dict[str, dict]], None],
  subjects: Sequence[str] = USUAL,
) -> dict[tuple[str, str], float]:
  """The median seconds of every subject's works.

  Args:
    args: With the options of `make_parser`.
    works: Their names.
    compare: Given every subject's answers, before the first round; raises or prints.
    subjects: Of `SUBJECTS`.
  """
  import numpy as np

  subjects = possible(subjects)
  samples = {(subject, work): [] for subject in subjects for work in works}
  with tempfile.TemporaryDirectory() as folder:
    processes = {}
    for subject in sorted(subjects, key=lambda s: SUBJECTS[s] != 'torch'):  # they make the weights
      print(f'preparing {subject} ...', file=sys.stderr)
      processes[subject] = start(args, subject, folder)
      if not processes[subject].stdout.readline():
        raise SystemExit(f'{subject} has failed')
    compare({subject: dict(np.load(f'{folder}/{subject}.npz')) for subject in subjects})
    for _ in range(args.rounds):
      for subject, work in random.sample(sorted(samples), len(samples)):
        samples[subject, work].append(_ask(processes[subject], work))
    for process in processes.values():
      process.stdin.close()
      process.wait()
  return {key: statistics.median(seconds) for key, seconds in samples.items()}


def _ask(process: subprocess.Popen, work: str) -> float:
  process.stdin.write(work + '\n')
  process.stdin.flush()
  return float(process.stdout.readline())


def product(args: argparse.Namespace) -> Works:
  """The work 'matmul', which says what the machine can do: a product of two square matrices.

  They are random: GPUs multiply ones or zeros faster than numbers.
  """
  size = (SIZES[args.platform],) * 2
  if SUBJECTS[args.subject] == 'torch':
    import torch

    device, wait = 'cpu', lambda: None
    if args.platform == 'gpu':
      device, wait = 'cuda', torch.cuda.synchronize
    big = torch.randn(size, dtype=getattr(torch, args.dtype), device=device)
    return {'matmul': lambda: (big @ big, wait())}
  import jax
  import jax.numpy as jnp

  big = jax.random.normal(jax.random.key(0), size, args.dtype)
  multiply = jax.jit(jnp.matmul)
  return {'matmul': lambda: multiply(big, big).block_until_ready()}


def peak(args: argparse.Namespace, medians: dict[tuple[str, str], float]) -> float:
  """FLOP/s of the fastest subject's `product`."""
  seconds = min(value for (_, work), value in medians.items() if work == 'matmul')
  return 2 * SIZES[args.platform] ** 3 / seconds


def compare_logits(answers: dict[str, dict], peer: str = PEER) -> float:
  """Prints, and returns, how far any subject's logits are from the peer's."""
  logits = answers[peer]['logits']
  far = max(abs(answer['logits'] - logits).max() for answer in answers.values())
  print(f'largest difference of a logit between subjects with the same weights: {far:.1e}')
  return far


def print_table(
  titles: dict[str, str],
  medians: dict[tuple[str, str], float],
  show: Callable[[str, float], str],
  peer: str = PEER,
):
  """One row a subject, one column a work, each `show(work, seconds)` with its ratio to the peer."""
  print(f'| {"":24s} | ' + ' | '.join(f'{title:>20s}' for title in titles.values()) + ' |')
  print('|---' * (len(titles) + 1) + '|')
  for subject in dict.fromkeys(subject for subject, _ in medians):
    ratios = {work: medians[peer, work] / medians[subject, work] for work in titles}
    cells = [f'{show(work, medians[subject, work])} ({ratios[work]:.2f})' for work in titles]
    print(f'| {subject:24s} | ' + ' | '.join(f'{cell:>20s}' for cell in cells) + ' |')
