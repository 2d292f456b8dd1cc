"""A GPT on your own text.

  command   python launch.py --config=configs/gpt_text.py:TEXT
  hardware  2 CPU cores, or whatever there is
  time      depends on your text
  reached   depends on your text

TEXT is a text file, or a folder or archive of them (vitlab/data/sets/text.py). Its tokens are
characters; `tokenizer=byte_bpe` learns others of the text, `tokenizer=FOLDER` takes those of
somebody else. Then

  echo "Once upon a time" | python launch.py --mode=predict --config=configs/gpt_text.py:TEXT

`:smoke` needs no text: it reads the sonnets that ship.
"""

from ml_collections import ConfigDict

from configs.common import gpt
from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the text; `tokenizer`, `variant`, `context`: of the model; `smoke`: seconds."""
  arg = parse_arg(
    arg, path='', tokenizer='chars', variant='tiny', context=128, steps=5000, smoke=False
  )
  if not arg.path and not arg.smoke:
    raise UserError('configs/gpt_text.py needs a text: --config=configs/gpt_text.py:TEXT')
  config = base()
  config.duration = f'{arg.steps} steps'
  config.batch_size = 32
  config.data = dict(name='text', path=arg.path, tokenizer=arg.tokenizer, context=arg.context)
  gpt.small(config, arg.variant, learning_rate=1e-3)
  gpt.evaluate(config, every='10%')
  if arg.smoke:
    gpt.smoke(config)
    config.model.update(variant='mu', width=32)
  return config
