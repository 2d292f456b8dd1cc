"""Our language models against the peers', in one run.

  python experiments/speed/language.py                     # a step of GPT against nanoGPT's
  python experiments/speed/language.py --work=generation   # one text, token by token, cached
  python experiments/speed/language.py --work=encoder      # BERT-base forward

Needs `tests/requirements.txt`. Peers: nanoGPT's model written plainly (`plain_gpt.py` in
`experiments/language`), and `generate` and `BertModel` of Hugging Face. How it is measured:
`race.py`; what: `texts.py`. On AMD a subject more lets torch's matrix library (MKL) use AVX-512,
which it does by itself on Intel's alone.
"""

from typing import NamedTuple

import race


class Work(NamedTuple):
  """What is timed, and of what."""

  kind: str  # of `texts.py`
  title: str
  width: int
  depth: int
  num_heads: int
  vocab_size: int
  length: int  # tokens of a row; of a text with what is added to it
  batch: int
  subjects: tuple[str, ...]
  peer: str = race.PEER


TORCH = ('torch eager', race.PEER, race.ALL_INSTRUCTIONS)
WORKS = {
  'step': Work(
    *('step', 'AdamW step', 384, 6, 6, 65, 256, 8),
    (*TORCH, 'vitlab', race.LESS_MEMORY, 'vitlab, 2 host devices'),
  ),
  'generation': Work(
    'generation', '128 tokens', 384, 6, 6, 65, 256, 1, ('torch eager', 'vitlab'), 'torch eager'
  ),
  'gpt2': Work(
    'generation', '64 tokens', 768, 12, 12, 50257, 256, 1, ('torch eager', 'vitlab'), 'torch eager'
  ),
  'encoder': Work(
    'encoder', 'forward', 768, 12, 12, 30522, 128, 4, (*TORCH, 'vitlab', 'vitlab, 2 host devices')
  ),
}
FAR = {'float32': 1e-3, 'bfloat16': 0.5}


def parse_args():
  parser = race.make_parser(__doc__.splitlines()[0])
  parser.add_argument('--work', default='step', choices=WORKS)
  parser.add_argument('--batch', type=int, help='rows; by default what suits 2 cores')
  args = parser.parse_args()
  args.size = WORKS[args.work]
  if args.batch:
    args.size = args.size._replace(batch=args.batch)
  return args


def main():
  args = parse_args()
  if args.subject:
    import texts

    works, answers = getattr(texts, f'{race.SUBJECTS[args.subject]}_{args.size.kind}')(args)
    race.serve(args, works | race.product(args), answers)
  else:
    print_table(args)


def print_table(args):
  flops, memory = 0.0, {}

  def compare(answers):
    nonlocal flops
    far = race.compare_logits(answers, args.size.peer)
    if far > FAR[args.dtype]:
      raise SystemExit('the subjects do not compute the same: nothing is timed')
    flops = float(answers['vitlab']['flops'])
    memory.update({name: float(x['memory']) for name, x in answers.items() if 'memory' in x})

  subjects = race.possible(args.size.subjects)
  medians = race.measure(args, [args.work, 'matmul'], compare, subjects)
  peak = race.peak(args, medians)
  print(f'{args.size.title}: {args.size}')
  print(f'{args.dtype}, {args.threads} threads; median ms of {args.rounds} ', end='')
  print(f'rounds, share of the {peak / 1e9:.0f} GFLOP/s of the largest matrix product ', end='')
  print(f'(ratio against {args.size.peer})\n')
  race.print_table(
    {args.work: args.size.title},
    medians,
    lambda work, seconds: f'{1e3 * seconds:8.1f}, {flops / seconds / peak:.0%}',
    args.size.peer,
  )
  if memory:
    print('\nMB at the height of a training step, weights and optimiser included:')
    print(', '.join(f'{subject} {x / 1e6:,.0f}' for subject, x in memory.items()))


if __name__ == '__main__':
  main()
