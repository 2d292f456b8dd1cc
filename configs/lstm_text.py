"""A recurrent language model on your own text, or on the sonnets that ship.

  command   python launch.py --config=configs/lstm_text.py:TEXT
  hardware  2 CPU cores, or whatever there is
  time      1 min on the sonnets (2 cores of an AMD EPYC, shared with others, jax 0.10.2)
  reached   2.33 bits a character on their last tenth (seed 0)

TEXT is a text file, or a folder or archive of them (vitlab/data/sets/text.py), whose rows go on
from batch to batch, and the state with them. Tokens are characters; `tokenizer=byte_bpe` learns
others of the text. `cell=gru` and `cell=rnn` are the other two.
"""

from ml_collections import ConfigDict

from configs.common import gpt
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the text; `tokenizer`, `cell`, `variant`: of the model; `smoke`: seconds.

  `context` is how many tokens the gradient goes back.
  """
  arg = parse_arg(
    arg,
    path='sonnets:',
    tokenizer='chars',
    cell='lstm',
    variant='tiny',
    context=64,
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
    eval_context=16 * arg.context,  # half of it is read before what is scored
  )
  config.model = dict(
    name='rnn_lm',
    vocab_size=None,
    cell=arg.cell,
    variant=arg.variant,
    remember=True,
    dropout_rate=0.2,
  )
  gpt.learn(config, learning_rate=4e-3)
  config.optim.weight_decay = 0.0
  gpt.evaluate(config, every='20%')
  if arg.smoke:
    gpt.smoke(config)
    config.duration = '300 steps'
    config.data.update(order='lanes', eval_context=128)
    config.model.update(width=64, depth=1, dropout_rate=0.0)
  return config
