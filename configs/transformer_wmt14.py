"""English to German by the Transformer as it was published.

  command   python launch.py --config=configs/transformer_wmt14.py
  hardware  8 GPUs (published: 8 P100, 12 h; `variant=big` 3.5 days)
  published 27.3 BLEU, `variant=big` 28.4 (arXiv:1706.03762, table 2); not run here

Needs `wmt14_translate/de-en` of TensorFlow Datasets (vitlab/data/sets/tfds_parallel.py). Published
BLEU is of tokenised text; the evaluator here says sacrebleu's. Batches hold about 25,000 tokens of
each language; the mean of the last checkpoints (5, of big 20) translates with a beam:

  python launch.py --mode=eval --workdir=runs/transformer_wmt14 --average=5

`:smoke` needs no data: it learns to say digits backwards, in seconds.
"""

from ml_collections import ConfigDict

from configs.common import smoke
from vitlab.config import base, parse_arg
from vitlab.errors import unknown

# Steps and dropout, sections 5.3 and 5.4, table 3.
TRAINING = dict(base=('100000 steps', 0.1), big=('300000 steps', 0.3))


def get_config(arg: str | None = None) -> ConfigDict:
  """`variant`: base or big; `smoke`: a run of seconds."""
  arg = parse_arg(arg, variant='base', smoke=False)
  if arg.variant not in TRAINING:
    raise unknown('variant', arg.variant, TRAINING)
  config = base()
  config.duration, dropout_rate = TRAINING[arg.variant]
  config.batch_size = 1024

  config.data = dict(
    name='tfds_parallel',
    dataset='wmt14_translate/de-en',
    source='en',
    target='de',
    vocab_size=37_000,
    lengths=(16, 24, 32, 48, 64, 96, 128),
  )
  config.model = dict(
    name='transformer',
    variant=arg.variant,
    vocab_size=None,
    dropout_rate=dropout_rate,
    dtype='bfloat16',
  )
  search = dict(name='beam', beams=4, length_penalty=0.6)
  config.task = dict(name='translation', label_smoothing=0.1, search=search)
  # Equation 3: d^-1/2 · min(n^-1/2, n · 4000^-3/2), whose top is d^-1/2 · 4000^-1/2.
  width = dict(base=512, big=1024)[arg.variant]
  config.optim = dict(
    name='adam',
    learning_rate=width**-0.5 * 4000**-0.5,
    schedule='rsqrt',
    warmup='4000 steps',
    b2=0.98,
    eps=1e-9,
  )
  words = dict(name='sequences', tokenizer=None)
  config.evaluators.validation = dict(words, split='validation', every='10%')
  config.evaluators.test = dict(words, split='test', every='100%')
  config.checkpoint.update(every='1500 steps', keep=20 if arg.variant == 'big' else 5)
  config.log_every = '100 steps'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.reverse(config, duration='200 steps')
  config.model.update(depth=1, num_heads=4, mlp_dim=128)
  config.optim.update(learning_rate=3e-3, warmup='50 steps')
  config.log_every = '50 steps'
  config.checkpoint.update(every='100 steps', keep=2)
