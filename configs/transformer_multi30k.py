"""Translation of image captions by a small Transformer: attention is all you need.

  command   python launch.py --config=configs/transformer_multi30k.py:FOLDER
  hardware  2 CPU cores
  time      15 min, evaluation by beams included (the machine did other work at low priority)
  reached   55.5 BLEU, 72.2 chrF on test_2016_flickr, En-Fr (seed 0; sacrebleu, 13a, cased)

FOLDER holds train.en, train.fr, val.en, val.fr, test_2016_flickr.en and .fr, perhaps with .gz at
the end (github.com/multi30k/dataset, data/task1/raw; Elliott et al. 2016, arXiv:1605.00459).
`target=de` says German. `:smoke` needs no folder: it learns to say digits backwards, in seconds.
"""

from ml_collections import ConfigDict

from configs.common import multi30k
from vitlab.config import base


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the folder; `target`: the language to say; `smoke`: a run of seconds."""
  arg = multi30k.argument(arg, 'configs/transformer_multi30k.py')
  config = base()
  config.duration = '20 epochs'
  config.batch_size = 128

  config.data = multi30k.data(arg.path, arg.target)
  config.model = dict(
    name='transformer',
    vocab_size=None,
    width=128,
    depth=2,
    num_heads=4,
    mlp_dim=256,
    norm_place='pre',
    dropout_rate=0.1,
  )
  config.task = dict(name='translation', label_smoothing=0.1, search=multi30k.SEARCH)
  config.optim = dict(
    name='adamw',
    learning_rate=4e-3,
    schedule='cosine',
    warmup='10%',
    weight_decay=1e-4,
    b2=0.98,
    clip_norm=1.0,
  )
  multi30k.evaluate(config, attention=8)
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  multi30k.smoke(config)
  config.model.update(depth=1, mlp_dim=128)
  config.optim.learning_rate = 2e-3
