"""Tags for the words of your own texts by a BERT that somebody has trained.

  command   python launch.py --config=configs/bert_tag.py:weights=FOLDER,path=conll2003 \
              --workdir=runs/names
  hardware  1 GPU; 2 CPU cores for BERT-mini and smaller
  time      depends on your texts
  reached   depends on your texts

`weights` is a folder of a BERT of Hugging Face (config.json, model.safetensors, vocab.txt) or the
workdir of a run of configs/bert_pretrain_text.py: its words stay, its head is replaced. For an
XLNet (spiece.model), or a run of configs/xlnet_text.py, say `model=xlnet` as well. `path` is a
file of words and tags, a folder or an archive (vitlab/data/sets/labelled_tokens.py): names of
people and places, parts of speech. Then

  python launch.py --mode=predict --workdir=runs/names lines.txt

`:smoke` needs neither: from chance it learns which letters of a row belong together.
"""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`weights`, `path`, `model`: see above; `length` of a text; `epochs`; `smoke`: seconds."""
  arg = parse_arg(arg, weights='', path='', model='bert', length=128, epochs=3, smoke=False)
  if not arg.smoke and not (arg.weights and arg.path):
    raise UserError(
      'configs/bert_tag.py needs weights and texts: '
      '--config=configs/bert_tag.py:weights=FOLDER,path=FILE'
    )
  config = base()
  config.duration = f'{arg.epochs} epochs'
  config.batch_size = 32
  config.data = dict(
    name='labelled_tokens',
    path=arg.path,
    tokenizer=arg.weights,
    max_length=arg.length,
    word='',  # columns by position, or keys of JSON, where theirs are none that is known
    tag='',
    class_names=(),
  )
  config.init_from = dict(path=arg.weights, head='new')
  config.model = dict(name=arg.model, vocab_size=None, num_classes=None, head='tokens')
  config.task = dict(name='token_classification', num_classes=None)
  config.optim = dict(
    name='adamw',
    learning_rate=5e-5,
    schedule='linear',
    warmup='10%',
    weight_decay=0.01,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='entities', class_names=None, split='test', every='50%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    config.init_from = None
    config.data = dict(name='spans')
    config.duration, config.log_every = '600 steps', '50 steps'
    config.model.update(variant='mu', max_length=32, pooler=False)
    config.optim.learning_rate = 1e-2
  return config
