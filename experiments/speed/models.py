"""A model against timm's, in one run: forward pass and full AdamW training step.

  python experiments/speed/models.py --model=vit    # or swin, tnt, resnet; float32, 2 threads
  python experiments/speed/models.py --first-step   # seconds from process start to the first step

Needs `tests/requirements.txt`. How it is measured: `race.py`; what: `subjects.py`,
`plain_vit.py`.
"""

import os
import tempfile
import time
from typing import NamedTuple

import race


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
WORKS = {'forward': 1, 'train': 3}  # and how many forward passes each is worth


def parse_args():
  parser = race.make_parser(__doc__.splitlines()[0])
  parser.add_argument('--model', default='vit', choices=MODELS)
  parser.add_argument('--variant', help="S/16, T, ...; by default timm's smallest")
  parser.add_argument('--batch', type=int, help='of both works; by default what suits 2 cores')
  parser.add_argument('--first-step', action='store_true', help='measure the start instead')
  args = parser.parse_args()
  peer = MODELS[args.model]
  args.variant = args.variant or next(iter(peer.names))
  if args.variant not in peer.names:
    parser.error(f'--variant={args.variant}: {args.model} has {", ".join(peer.names)} here')
  args.timm, args.words = peer.names[args.variant], peer.words
  args.pixels, args.theirs = 224, {}
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
  if args.subject == race.PLAIN:
    import plain_vit as subjects
  else:
    import subjects

  works, answers = getattr(subjects, f'{race.SUBJECTS[args.subject]}_works')(args)
  if args.first_step:
    works['train']()
    print('done', flush=True)
  else:
    race.serve(args, works | race.product(args), answers)


def print_table(args):
  flops, memory = {}, {}

  def compare(answers):
    race.compare_logits(answers)
    image = float(answers['vitlab']['flops'])
    for subject in answers.keys() - {race.PLAIN}:
      memory[subject] = float(answers[subject]['memory'])
    for work, passes in WORKS.items():
      flops[work] = passes * image * args.batches[work]

  subjects = (*race.USUAL, *([race.PLAIN] if args.model == 'vit' else []))
  medians = race.measure(args, [*WORKS, 'matmul'], compare, subjects)
  peak = race.peak(args, medians)
  print(f'{args.model} {args.variant}, 224 px, {args.dtype}, ', end='')
  print(f'{args.threads} threads; median ms of {args.rounds} rounds, share of the ', end='')
  print(f'{peak / 1e9:.0f} GFLOP/s of the largest matrix product (ratio against {race.PEER})\n')
  titles = {work: f'{work}, batch {args.batches[work]}' for work in WORKS}
  race.print_table(
    titles,
    medians,
    lambda work, seconds: f'{1e3 * seconds:8.1f}, {flops[work] / seconds / peak:.0%}',
  )
  print('\nMB at the height of a training step, weights and optimiser included:')
  print(', '.join(f'{subject} {memory[subject] / 1e6:,.0f}' for subject in sorted(memory)))


def print_first_step(args):
  print('seconds from process start to the end of the first training step')
  for subject in ('torch eager', race.PEER, 'vitlab'):
    with tempfile.TemporaryDirectory() as folder:
      os.environ['TORCHINDUCTOR_CACHE_DIR'] = f'{folder}/torch'
      os.environ['JAX_COMPILATION_CACHE_DIR'] = f'{folder}/jax'
      os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
      cold, warm = first_step(args, subject, folder), first_step(args, subject, folder)
    print(f'{subject:16s} cold {cold:5.1f}   warm cache {warm:5.1f}')


def first_step(args, subject, folder):
  begin = time.perf_counter()
  process = race.start(args, subject, folder)
  process.stdout.readline()
  seconds = time.perf_counter() - begin
  process.wait()
  return seconds


if __name__ == '__main__':
  main()
