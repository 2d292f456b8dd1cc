"""A small XLNet that learns your own text by saying it in random orders.

  command   python launch.py --config=configs/xlnet_text.py:TEXT
  hardware  2 CPU cores, or whatever there is
  time      depends on your text
  reached   depends on your text

TEXT is a text file, or a folder or archive of them (vitlab/data/sets/text.py). Its words are
learned first (sentencepiece, as XLNet's); spans of whole words are said, a sixth of the text, each
from the rest and from what was said before it. `val` is how well that goes, `val_at_once` how well
if all of it is hidden at once: that is what a BERT of configs/bert_pretrain_text.py is asked.
`memory=N` lets a row read the N tokens before it, too. What comes out is the start of a classifier:

  python launch.py --config=configs/bert_classify.py:weights=WORKDIR,path=FILE,model=xlnet

WORKDIR is the folder that the run names when it ends.

`:smoke` needs no text: it reads the sonnets that ship.
"""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the text; `variant`, `length`, `memory`: of the model; `steps`; `smoke`: seconds."""
  arg = parse_arg(arg, path='', variant='tiny', length=128, memory=0, steps=10_000, smoke=False)
  if not arg.path and not arg.smoke:
    raise UserError('configs/xlnet_text.py needs a text: --config=configs/xlnet_text.py:TEXT')
  config = base()
  config.duration = f'{arg.steps} steps'
  config.batch_size = 64
  config.data = dict(
    name='text',
    path=arg.path,
    tokenizer='xlnet',
    vocab_size=8000,
    context=arg.length - 1,
    order='lanes' if arg.memory else 'windows',
    words=True,
  )
  config.model = dict(name='xlnet', vocab_size=None, variant=arg.variant, memory_length=arg.memory)
  config.task = dict(name='permutation_lm', special=None, share=1 / 6)
  config.optim = dict(
    name='adamw',
    learning_rate=5e-4,
    schedule='linear',
    warmup='5%',
    weight_decay=0.01,
    b2=0.98,
    clip_norm=1.0,
  )
  config.evaluators.val = dict(name='masked_tokens', split='val', every='10%')
  config.evaluators.val_at_once = dict(
    name='masked_tokens', split='val', every='10%', reads='guesses_at_once'
  )
  config.checkpoint.best = 'val/masked_accuracy'
  if arg.smoke:
    config.data.update(path='sonnets:', vocab_size=300, context=31)
    config.duration, config.log_every, config.batch_size = '60 steps', '10 steps', 32
    config.model.variant = 'mu'
    config.optim.learning_rate = 1e-2
  return config
