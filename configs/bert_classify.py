"""Classification of your own texts by a BERT that somebody has trained.

  command   python launch.py --config=configs/bert_classify.py:weights=FOLDER,path=reviews.csv \
              --workdir=runs/reviews
  hardware  1 GPU; 2 CPU cores for BERT-mini and smaller
  time      depends on your texts
  reached   depends on your texts

`weights` is a folder of a BERT of Hugging Face (config.json, model.safetensors, vocab.txt) or the
workdir of a run of configs/bert_pretrain_text.py: its words stay, its head is replaced. For an
XLNet (spiece.model), or a run of configs/xlnet_text.py, say `model=xlnet` as well. `path` is a
table, a folder or an archive (vitlab/data/sets/labelled_text.py), perhaps of pairs of texts. Then

  python launch.py --mode=predict --workdir=runs/reviews lines.txt

`:smoke` needs neither: from chance it learns which of two letters stands more often in a row.
"""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`weights`, `path`, `model`: see above; `length` of a text; `epochs`; `smoke`: seconds."""
  arg = parse_arg(arg, weights='', path='', model='bert', length=128, epochs=3, smoke=False)
  if not arg.smoke and not (arg.weights and arg.path):
    raise UserError(
      'configs/bert_classify.py needs weights and texts: '
      '--config=configs/bert_classify.py:weights=FOLDER,path=FILE'
    )
  config = base()
  config.duration = f'{arg.epochs} epochs'
  config.batch_size = 32
  config.data = dict(
    name='labelled_text',
    path=arg.path,
    tokenizer=arg.weights,
    max_length=arg.length,
    text='',  # columns, by name or position, where theirs are none that is known
    pair='',
    label='',
    class_names=(),
  )
  config.init_from = dict(path=arg.weights, head='new')
  config.model = dict(name=arg.model, vocab_size=None, num_classes=None, head='text')
  config.task = dict(name='text_classification', num_classes=None)
  config.optim = dict(
    name='adamw',
    learning_rate=5e-5,
    schedule='linear',
    warmup='10%',
    weight_decay=0.01,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='text_classification', split='test', every='50%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    config.init_from = None
    config.data = dict(name='majority')
    config.duration, config.log_every = '60 steps', '10 steps'
    config.model.update(variant='mu', max_length=32)
    config.optim.learning_rate = 1e-2
  return config
