"""A Reformer of twelve layers on 65,536 bytes of enwik8 at once.

  command   python launch.py --config=configs/reformer_enwik8.py:ENWIK8
  hardware  8 accelerators, one row each
  published 1.19 to 1.05 bits (0.82 to 0.73 nats) a byte (arXiv:2001.04451, section 5); not run here

ENWIK8 is enwik8.zip or any other text, of whose bytes the last twentieths are 'val' and 'test'. The
paper has 1.19 after 20,000 steps, and 1.05 after more with better regularisation.
"""

from ml_collections import ConfigDict

from configs.common import gpt
from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the text; `hashes`: rounds of hashing; `smoke`: a run of seconds."""
  arg = parse_arg(arg, path='', hashes=4, smoke=False)
  if not arg.path and not arg.smoke:
    raise UserError(
      'configs/reformer_enwik8.py needs a text: --config=configs/reformer_enwik8.py:TEXT'
    )
  config = base()
  config.duration = '20000 steps'
  config.batch_size = 8
  config.data = dict(
    name='text', path=arg.path, tokenizer='bytes', context=65536, fractions=(0.9, 0.05, 0.05)
  )
  config.model = dict(
    name='reformer',
    variant='base',
    vocab_size=None,
    context=None,
    attn_layers=('lsh',),
    num_hashes=arg.hashes,
    mlp_chunk=16384,
    axial_shape=(256, 256),
    axial_widths=(256, 768),
    dropout_rate=0.1,
    dtype='bfloat16',
  )
  config.task = dict(name='language_model', max_tokens=256)
  config.optim = dict(
    name='adamw',
    learning_rate=5e-4,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.1,
    clip_norm=1.0,
  )
  gpt.evaluate(config, every='10%')
  if arg.smoke:
    gpt.smoke(config)
    config.data.update(tokenizer='bytes', context=64)
    config.model.update(variant='mu', width=32, depth=2, num_hashes=2, lsh_chunk=16, mlp_chunk=32)
    config.model.update(axial_shape=(8, 8), axial_widths=(8, 24), dtype='float32', dropout_rate=0.0)
    config.model.attn_layers, config.model.local_chunk = ('local', 'lsh'), 16
    config.batch_size, config.duration, config.evaluators.val.every = 32, '300 steps', '50%'
  return config
