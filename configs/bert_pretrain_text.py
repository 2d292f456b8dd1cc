"""A small BERT that learns your own text by guessing hidden words.

  command   python launch.py --config=configs/bert_pretrain_text.py:TEXT
  hardware  2 CPU cores, or whatever there is
  time      depends on your text
  reached   depends on your text

TEXT is a text file, or a folder or archive of them (vitlab/data/sets/text.py). Its words are
learned first (WordPiece); whole words are hidden. `order=passages` also asks whether one passage
follows another, as in the paper. What comes out is the start of a classifier:

  python launch.py --config=configs/bert_classify.py:weights=WORKDIR,path=FILE

WORKDIR is the folder that the run names when it ends.

`:smoke` needs no text: it reads the sonnets that ship.
"""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the text; `variant`, `length`: of the model; `order`; `steps`; `smoke`: seconds."""
  arg = parse_arg(
    arg, path='', variant='mini', length=128, order='windows', steps=10_000, smoke=False
  )
  if not arg.path and not arg.smoke:
    raise UserError(
      'configs/bert_pretrain_text.py needs a text: --config=configs/bert_pretrain_text.py:TEXT'
    )
  config = base()
  passages = arg.order == 'passages'
  config.duration, config.batch_size = f'{arg.steps} steps', 64
  config.data = dict(
    name='text',
    path=arg.path,
    tokenizer='wordpiece',
    vocab_size=8000,
    context=arg.length - 1,
    order=arg.order,
    words=True,
  )
  config.model = dict(
    name='bert',
    vocab_size=None,
    variant=arg.variant,
    max_length=arg.length,
    norm_place='post',  # 'pre' and 'rope' learn faster, and no other program reads them
    position_embedding='learned',
    dropout_rate=0.1,
    next_passage=passages,
    pooler=passages,
  )
  config.task = dict(name='masked_lm', vocab_size=None, special=None, share=0.15)
  config.task.update(next_passage=passages)
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
  config.checkpoint.best = 'val/masked_accuracy'
  if arg.smoke:
    config.data.update(path='sonnets:', vocab_size=300, context=31)
    config.duration, config.log_every, config.batch_size = '60 steps', '10 steps', 32
    config.model.update(variant='mu', max_length=32)
    config.optim.learning_rate = 1e-2
  return config
