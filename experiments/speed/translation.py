"""Our Transformer against torch's, in one run: AdamW steps and greedy decoding with a cache.

  python experiments/speed/translation.py    # as for Multi30k, float32, 2 threads
  python experiments/speed/translation.py --variant=base

Needs torch. How it is measured: `race.py`; what: `sentences.py`. Sentences are random, their
lengths like real ones, sorted into buckets; every call goes through all buckets once. Speeds count
the tokens that are learned or said, padding left out.
"""

from typing import NamedTuple

import race


class Size(NamedTuple):
  width: int
  depth: int  # of encoder and of decoder
  num_heads: int
  mlp_dim: int
  vocab_size: int
  batch: int  # sentences
  buckets: tuple[int, ...]  # padded lengths


SIZES = {
  'small': Size(128, 2, 4, 256, 4096, 128, (16, 24, 32)),
  'base': Size(512, 6, 8, 2048, 8192, 16, (32,)),
}
WORKS = ('train', 'decode')
FAR = {'float32': 1e-4, 'bfloat16': 0.3}


def parse_args():
  parser = race.make_parser(__doc__.splitlines()[0])
  parser.add_argument('--variant', default='small', choices=SIZES)
  parser.add_argument('--batch', type=int, help='sentences; by default what the variant has')
  args = parser.parse_args()
  args.size = SIZES[args.variant]
  if args.batch:
    args.size = args.size._replace(batch=args.batch)
  return args


def main():
  args = parse_args()
  if args.subject:
    import sentences

    race.serve(args, *getattr(sentences, f'{race.SUBJECTS[args.subject]}_works')(args))
  else:
    print_table(args)


def print_table(args):
  import sentences

  tokens = {'train': sum((b['targets'] > 0).sum() for b in sentences.batches(args.size))}

  def compare(answers):
    far = race.compare_logits(answers)
    said = {subject: answer['said'] for subject, answer in answers.items()}
    same = min((x == said[race.PEER]).all(axis=1).mean() for x in said.values())
    print(f'sentences that all subjects decode alike: at least {same:.1%}')
    if far > FAR[args.dtype] or args.dtype == 'float32' and same < 0.99:
      raise SystemExit('the subjects do not compute the same: nothing is timed')
    tokens['decode'] = (said[race.PEER] > 0).sum()

  medians = race.measure(args, WORKS, compare)
  print(f'{args.variant}: {args.size}')
  print(f'{args.dtype}, {args.threads} threads; ', end='')
  print(f'tokens/s, medians of {args.rounds} rounds (ratio against {race.PEER})\n')
  titles = {work: f'{work}, tokens/s' for work in WORKS}
  race.print_table(titles, medians, lambda work, seconds: f'{tokens[work] / seconds:10,.0f}')


if __name__ == '__main__':
  main()
