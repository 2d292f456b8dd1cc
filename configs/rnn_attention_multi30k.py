"""Translation of image captions: what it is worth to a recurrent net to look back.

  command   python launch.py --config=configs/rnn_attention_multi30k.py:FOLDER
  hardware  2 CPU cores
  time      12 min, evaluation by beams included (the machine did other work at low priority)
  reached   53.8 BLEU, 71.0 chrF on test_2016_flickr, En-Fr (seed 0; sacrebleu, 13a, cased)

FOLDER holds train.en, train.fr, val.en, val.fr, test_2016_flickr.en and .fr, perhaps with .gz at
the end (github.com/multi30k/dataset, data/task1/raw; Elliott et al. 2016, arXiv:1605.00459).
`target=de` says German. `:smoke` needs no folder: it learns to say digits backwards, in seconds.
"""

from ml_collections import ConfigDict

from configs.common import multi30k
from vitlab.config import base


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the folder; `target`: the language to say; `smoke`: a run of seconds."""
  arg = multi30k.argument(arg, 'configs/rnn_attention_multi30k.py')
  config = base()
  config.duration = '8 epochs'
  config.batch_size = 128

  config.data = multi30k.data(arg.path, arg.target)
  config.model = dict(
    name='rnn_seq2seq',
    vocab_size=None,
    cell='gru',
    width=192,
    bidirectional=True,
    attention='additive',
    dropout_rate=0.2,
  )
  config.task = dict(name='translation', label_smoothing=0.1, search=multi30k.SEARCH)
  config.optim = dict(
    name='adamw',
    learning_rate=2e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=1e-4,
    clip_norm=1.0,
  )
  multi30k.evaluate(config, attention=8)
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  multi30k.smoke(config)
  config.optim.learning_rate = 5e-3
