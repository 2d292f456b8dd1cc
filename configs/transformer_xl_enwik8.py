"""Transformer-XL of 12 layers on enwik8 (arXiv:1901.02860, table 2).

  command   python launch.py --config=configs/transformer_xl_enwik8.py:enwik8.txt
  hardware  4 GPUs of 11 GB (published: 400,000 steps)
  published 1.06 bits a character of 'test', 41 million parameters; not run here

enwik8.txt is the file of the Hutter prize, the first 10^8 bytes of Wikipedia, by this name; its
last tenth is half 'val' and half 'test', and its bytes are the characters of the paper. The
published number is of short segments and a memory of 2,100:

  python launch.py --mode=eval --config=configs/transformer_xl_enwik8.py:enwik8.txt,reads=far
"""

from ml_collections import ConfigDict

from configs.common import gpt
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of enwik8; `reads=far`: as it is evaluated in the paper; `smoke`: seconds."""
  arg = parse_arg(arg, path='enwik8.txt', reads='', smoke=False)
  config = base()
  config.duration = '400000 steps'
  config.batch_size = 22
  config.data = dict(
    name='text',
    path=arg.path,
    tokenizer='bytes',
    context=512,
    order='lanes',
    eval_context=4096,
    fractions=(0.9, 0.05, 0.05),
  )
  config.model = dict(
    name='transformer_xl', variant='base', vocab_size=None, context=512, dropout_rate=0.1
  )
  config.task = dict(name='language_model')
  config.optim = dict(name='adam', learning_rate=2.5e-4, schedule='cosine', clip_norm=0.25)
  gpt.evaluate(config, every='1%')
  config.evaluators.test = dict(name='perplexity', split='test', sizes=None, every='100%')
  if arg.reads == 'far':
    config.data.update(eval_context=8192)
    config.model.update(context=128, eval_memory_length=2100, same_length=True, clamp_len=820)
  if arg.smoke:
    gpt.smoke(config)
    config.duration, config.optim.learning_rate = '300 steps', 5e-3
    config.data.update(order='lanes', eval_context=128)
    config.model.update(variant='mu', width=32, context=32, dropout_rate=0.0)
    config.evaluators.val.every = '50%'
    del config.evaluators['test']
  return config
