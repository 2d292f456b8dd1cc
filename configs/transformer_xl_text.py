"""A Transformer-XL on your own text, or on the sonnets, which ship with vitlab.

  command   python launch.py --config=configs/transformer_xl_text.py:TEXT
  hardware  2 CPU cores, or whatever there is
  time      6 min on the sonnets (2 cores of an AMD EPYC, shared with others, jax 0.10.2)
  reached   2.35 bits a character on their last tenth; with `memory=0` 2.42 (seed 0)

TEXT is a text file, or a folder or archive of them (vitlab/data/sets/text.py), whose rows go on
from batch to batch. Tokens are characters; `tokenizer=byte_bpe` learns others of the text. Once it
is trained, the memory may have any length:

  python launch.py --mode=eval --workdir=RUN --config.model.eval_memory_length=256
"""

from ml_collections import ConfigDict

from configs.common import gpt
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the text; `tokenizer`, `variant`, `context`, `memory`: of the model; `smoke`: seconds.

  `context` is the length of a segment, `memory` how many tokens before it are remembered.
  """
  arg = parse_arg(
    arg,
    path='sonnets:',
    tokenizer='chars',
    variant='tiny',
    context=64,
    memory=64,
    steps=1500,
    smoke=False,
  )
  config = base()
  config.duration = f'{arg.steps} steps'
  config.batch_size = 16
  config.data = dict(
    name='text',
    path=arg.path,
    tokenizer=arg.tokenizer,
    context=arg.context,
    order='lanes',
    eval_context=16 * arg.context,  # read segment by segment, half of it before what is scored
  )
  config.model = dict(
    name='transformer_xl',
    vocab_size=None,
    context=arg.context,
    variant=arg.variant,
    memory_length=arg.memory,
    eval_memory_length=None,  # as in training
    same_length=False,
    clamp_len=None,
    dropout_rate=0.1,
  )
  gpt.learn(config, learning_rate=2e-3)
  gpt.evaluate(config, every='20%')
  if arg.smoke:
    gpt.smoke(config)
    config.duration, config.optim.learning_rate = '300 steps', 5e-3
    config.data.update(order='lanes', eval_context=128)
    config.model.update(
      width=32, depth=2, mlp_dim=64, context=32, memory_length=32, dropout_rate=0.0
    )
  return config
