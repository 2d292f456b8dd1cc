"""GPT-2 of 124 million parameters, as nanoGPT trains it on OpenWebText.

  command   python launch.py --config=configs/gpt2_small.py:TEXT,tokenizer=FOLDER
  hardware  8 A100 (published: 4 days)
  published 2.85 nats a token of OpenWebText (github.com/karpathy/nanoGPT); not run here

TEXT is a folder or archive of text files. FOLDER holds GPT-2's vocab.json and merges.txt, of 50,257
tokens. A step reads half a million tokens: 480 rows of 1,024.
"""

from ml_collections import ConfigDict

from configs.common import gpt
from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the text; `tokenizer`: folder of the vocabulary; `smoke`: a run of seconds."""
  arg = parse_arg(arg, path='', tokenizer='', variant='small', smoke=False)
  if not arg.smoke and not (arg.path and arg.tokenizer):
    raise UserError(
      'configs/gpt2_small.py needs a text and its vocabulary: '
      '--config=configs/gpt2_small.py:TEXT,tokenizer=FOLDER'
    )
  config = base()
  config.duration = '600000 steps'
  config.batch_size = 480
  config.microbatches = 5
  config.data = dict(name='text', path=arg.path, tokenizer=arg.tokenizer, context=1024)
  config.model = dict(
    name='gpt',
    variant=arg.variant,
    vocab_size=None,
    context=None,
    dropout_rate=0.0,
    dtype='bfloat16',
  )
  config.task = dict(name='language_model', max_tokens=256)
  config.optim = dict(
    name='adamw',
    learning_rate=6e-4,
    schedule='cosine',
    warmup='2000 steps',
    weight_decay=0.1,
    b2=0.95,
    clip_norm=1.0,
  )
  gpt.evaluate(config, every='1000 steps')
  if arg.smoke:
    gpt.smoke(config)
    config.duration, config.log_every, config.batch_size = '300 steps', '50 steps', 40
    config.model.update(variant='mu', width=32, dtype='float32')
    config.optim.update(learning_rate=5e-3, warmup='10 steps', b2=0.99)
    config.evaluators.val.every = '50%'
  return config
