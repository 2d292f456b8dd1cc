"""Translation of image captions with every sentence squeezed into one state.

  command   python launch.py --config=configs/rnn_multi30k.py:FOLDER
  hardware  2 CPU cores
  time      9 min, evaluation by beams included (the machine did other work at low priority)
  reached   4.8 BLEU, 21.9 chrF on test_2016_flickr, En-Fr (seed 0; sacrebleu, 13a, cased)

FOLDER holds train.en, train.fr, val.en, val.fr, test_2016_flickr.en and .fr, perhaps with .gz at
the end (github.com/multi30k/dataset, data/task1/raw; Elliott et al. 2016, arXiv:1605.00459).
`target=de` says German. `:smoke` needs no folder: it learns to say digits backwards, in seconds.
"""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the folder; `target`: the language to say; `smoke`: a run of seconds."""
  arg = parse_arg(arg, path='', target='fr', smoke=False)
  if not arg.smoke and not arg.path:
    raise UserError(
      'configs/rnn_multi30k.py needs the folder of the text: '
      '--config=configs/rnn_multi30k.py:FOLDER'
    )
  config = base()
  config.duration = '16 epochs'
  config.batch_size = 128

  config.data = dict(
    name='parallel',
    path=arg.path,
    source='en',
    target=arg.target,
    vocab_size=4000,
    lengths=(16, 20, 24, 32, 64),
  )
  config.model = dict(
    name='rnn_seq2seq',
    vocab_size=None,
    cell='gru',
    width=192,
    bidirectional=True,
    attention='none',
    dropout_rate=0.2,
  )
  search = dict(name='beam', beams=4, length_penalty=0.6)
  config.task = dict(name='translation', label_smoothing=0.1, search=search)
  config.optim = dict(
    name='adamw',
    learning_rate=2e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=1e-4,
    clip_norm=1.0,
  )
  words = dict(name='sequences', tokenizer=None)
  config.evaluators.val = dict(words, split='val', every='50%')
  config.evaluators.test = dict(words, split='test_2016_flickr', every='100%')
  config.log_every = '50 steps'
  config.checkpoint.best = 'val/bleu'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  config.data = dict(name='reverse', min_length=2, max_length=3, train=400, test=50)
  config.model.update(width=64, dropout_rate=0.0)
  config.evaluators = dict(test=dict(config.evaluators.test, split='test'))
  config.checkpoint.best = 'test/accuracy'
  config.optim.learning_rate = 5e-3
  config.batch_size, config.duration = 64, '150 steps'
