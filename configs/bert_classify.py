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

from configs.common import fine_tune


def get_config(arg: str | None = None) -> ConfigDict:
  """`weights`, `path`, `model`: see above; `length` of a text; `epochs`; `smoke`: seconds."""
  config, smoke = fine_tune.start(
    arg, 'bert_classify', 'labelled_text', 'text_classification', head='text'
  )
  config.data.update(
    text='',  # columns, by name or position, where theirs are none that is known
    pair='',
    label='',
    class_names=(),
  )
  config.evaluators.test = dict(name='text_classification', split='test|val', every='50%')
  if smoke:
    config.data = dict(name='majority')
    config.duration, config.log_every = '60 steps', '10 steps'
  return config
