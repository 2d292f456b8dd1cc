"""Multi30k, captions of photographs in two languages: its files, its splits, its search."""

from typing import Any

from ml_collections import ConfigDict

from configs.common import smoke as smokes
from vitlab.config import parse_arg
from vitlab.errors import UserError

SEARCH = dict(name='beam', beams=4, length_penalty=0.6)


def argument(arg: str | None, config_file: str) -> ConfigDict:
  """`path`: the folder of the text; `target`: the language to say; `smoke`: a run of seconds.

  Raises:
    UserError: no folder, which only `smoke` does without.
  """
  values = parse_arg(arg, path='', target='fr', smoke=False)
  if not values.smoke and not values.path:
    raise UserError(f'{config_file} needs the folder of the text: --config={config_file}:FOLDER')
  return values


def data(path: str, target: str) -> dict[str, Any]:
  """Pairs of an English caption and its translation into `target`, as subwords."""
  return dict(
    name='parallel',
    path=path,
    source='en',
    target=target,
    vocab_size=4000,
    lengths=(16, 20, 24, 32, 64),
  )


def evaluate(config: ConfigDict, attention: int | None = None) -> None:
  """Scores the validation split twice a run and the test split at its end.

  Args:
    config: Changed in place.
    attention: The number of sentences whose attention is kept for the report.
  """
  words = dict(name='sequences', tokenizer=None)
  if attention is not None:
    words['attention'] = attention
  config.evaluators.val = dict(words, split='val', every='50%')
  config.evaluators.test = dict(words, split='test_2016_flickr', every='100%')
  config.log_every = '50 steps'
  config.checkpoint.best = 'val/bleu'


def smoke(config: ConfigDict) -> None:
  """Says digits backwards instead, in seconds; the depth of the model is left to the config."""
  smokes.reverse(config)
  config.checkpoint.best = 'test/accuracy'
