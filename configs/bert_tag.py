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

from configs.common import fine_tune


def get_config(arg: str | None = None) -> ConfigDict:
  """`weights`, `path`, `model`: see above; `length` of a text; `epochs`; `smoke`: seconds."""
  config, smoke = fine_tune.start(
    arg, 'bert_tag', 'labelled_tokens', 'token_classification', head='tokens'
  )
  config.data.update(
    word='',  # columns by position, or keys of JSON, where theirs are none that is known
    tag='',
    class_names=(),
  )
  config.evaluators.test = dict(name='entities', class_names=None, split='test|val', every='50%')
  if smoke:
    config.data = dict(name='spans')
    config.duration, config.log_every = '600 steps', '50 steps'
    config.model.pooler = False
  return config
