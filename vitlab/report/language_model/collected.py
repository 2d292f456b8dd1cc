"""What the page of a language model shows that needs its checkpoint and its text."""

import itertools
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from vitlab import registry
from vitlab.data import Dataset, Source, identity, splits, tokenizers
from vitlab.data.vocabularies import Vocabulary
from vitlab.errors import UserError
from vitlab.evaluators import split_of
from vitlab.lines import visible
from vitlab.ops import ngrams
from vitlab.ops.positions import places_in_segments
from vitlab.predict import trained as trained_lib
from vitlab.predict.language_model import Author
from vitlab.predict.trained import Trained
from vitlab.report.language_model import heads

_log = logging.getLogger(__name__)

COUNTED = 10**7  # tokens of training that are counted for the baselines, the first
SCORED = 2**20  # tokens of the split that these are measured on
READ = 2**15  # tokens that the model itself reads once more
LOOKED_AT = 2**11  # tokens whose attention is measured
SHOWN = 64  # tokens of the text that is shown token by token
SAMPLES, SAID = 3, 200  # texts, and tokens of each
GLIMPSE = 400  # characters of the first of them that a terminal shows
TOGETHER = 2**11  # tokens that the model reads at once

Rows = Mapping[str, np.ndarray]


class Baselines(NamedTuple):
  """Mean losses of counting, in nats, on the tokens that the evaluation scores."""

  unigram: float
  bigram: float
  vocab_size: int


class Places(NamedTuple):
  """The loss by how many tokens the model has read: 1, 2, 3 to 4, 5 to 8, ...

  Attributes:
    last: The upper end of each.
    loss: The mean, in nats.
    count: How many tokens were said there.
  """

  last: Int[np.ndarray, ' bins']
  loss: Float[np.ndarray, ' bins']
  count: Int[np.ndarray, ' bins']


class Seen(NamedTuple):
  """Of one run; None where it could not be had, and the log says why.

  Attributes:
    split: Which its evaluator reads.
    baselines: What counting knows of that split.
    places: The loss against what was read.
    roles: What its heads attend to.
    text: Where they look in a part of the split.
    samples: Texts that it wrote.
  """

  split: str = ''
  baselines: Baselines | None = None
  places: Places | None = None
  roles: heads.Roles | None = None
  text: heads.Text | None = None
  samples: Sequence[str] = ()


def collect(folders: Sequence[str | pathlib.Path]) -> list[Seen]:
  """Looks at runs with their best checkpoint; of several, at what can be compared.

  Raises:
    UserError: there is no checkpoint.
  """
  return [look(trained_lib.load(str(folder)), len(folders) == 1) for folder in folders]


def glimpse(seen: Seen) -> str:
  """The beginning of a sample, as a terminal shows it; '' where there is none."""
  lines = ''.join(seen.samples[:1])[:GLIMPSE].strip('\n').split('\n')
  return '\n'.join(map(visible, lines))


def look(trained: Trained, alone: bool = True) -> Seen:
  """What can be seen of a model here; without its data it still writes samples.

  Args:
    trained: The model.
    alone: Whether samples and heads are wanted, too.
  """
  seen = Seen()
  if alone:
    seen = seen._replace(samples=_try(lambda: samples(trained), 'samples') or ())
  found = _try(lambda: _data(trained), 'anything that needs its text')
  if found is None:
    return seen
  dataset, source, split = found
  seen = seen._replace(
    split=split,
    baselines=_try(lambda: _baselines(trained, dataset, source), 'baselines'),
    places=_try(lambda: places(trained, source), 'the loss by place'),
  )
  looks = alone and 'attention' in trained.task.predict
  attention = _try(lambda: look_at_heads(trained, source), 'its heads') if looks else None
  return seen._replace(**dict(zip(('roles', 'text'), attention or ())))


def _try(function: Callable[[], Any], what: str) -> Any:
  try:
    return function()
  except Exception as error:  # the rest of the page is worth having
    _log.warning('the report goes without %s: %s', what, error)
    return None


def _data(trained: Trained) -> tuple[Dataset, Source, str]:
  """Its data set, the split of the first evaluator, and the name of that."""
  dataset = registry.make('data.sets', trained.config.data.to_dict())
  identity.check_same(trained.facts, dataset, trained.workdir)
  for spec in trained.config.evaluators.to_dict().values():
    split = split_of(spec)
    if split:
      return dataset, splits.select(dataset, split), split
  raise UserError(f'{trained.workdir}: no evaluator reads a split')


def affordable(trained: Trained, most: int, work: float) -> int:
  """How many tokens a model of its size reads or writes in a few seconds, `most` at most.

  Args:
    trained: The model.
    most: Of a small one.
    work: Parameters times tokens.
  """
  size = sum(x.size for x in jax.tree.leaves(trained.variables['model']))
  return int(min(most, max(work // max(size, 1), 32)))


def rows(source: Source, count: int) -> Rows:
  """Rows of a split, as far apart as can be: tokens, and segments where there are any."""
  count = min(max(count, 1), len(source))
  found = [source[(i * len(source)) // count] for i in range(count)]
  keys = ('tokens', 'segments', 'scored')
  return {key: np.stack([row[key] for row in found]) for key in keys if key in found[0]}


def _baselines(trained: Trained, dataset: Dataset, source: Source) -> Baselines:
  train = splits.select(dataset, trained.config.train_split)
  return baselines(train, source, trained.facts['vocab_size'])


def baselines(train: Source, source: Source, vocab_size: int) -> Baselines:
  """Counts training, and says the tokens of a split by that.

  Raises:
    UserError: the tokens of training do not lie one after the other.
  """
  text = getattr(train, 'tokens', None)
  if text is None:
    raise UserError('the split train is no text that could be counted')
  counts = ngrams.count(text[:COUNTED], vocab_size)
  given = rows(source, SCORED // max(len(source[0]['tokens']) - 1, 1))
  tokens = given['tokens']
  counted = given.get('scored', np.ones_like(tokens[:, 1:], bool))
  if 'segments' in given:
    segments = given['segments']
    counted = counted & (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
  before, said = tokens[:, :-1][counted], tokens[:, 1:][counted]
  losses = ngrams.unigram(counts, said), ngrams.bigram(counts, before, said)
  return Baselines(*(float(loss.mean()) for loss in losses), vocab_size)


def places(trained: Trained, source: Source) -> Places:
  """The loss by place, on whole rows, whatever the evaluator leaves out of them."""
  context = len(source[0]['tokens']) - 1
  count = min(len(source), max(1, affordable(trained, READ, 4e11) // context))
  together = max(1, min(count, TOGETHER // context))
  given = rows(source, count - count % together)  # batches of one shape, compiled once
  given = {k: x for k, x in given.items() if k != 'scored'}
  scores = jax.jit(trained.task.predict['scores'])
  losses, masks = [], []
  for first in range(0, len(given['tokens']), together):
    out = scores(trained.variables, {k: x[first : first + together] for k, x in given.items()})
    losses.append(np.asarray(out['nll']))
    masks.append(np.asarray(out['counted']))
  loss, mask = np.concatenate(losses), np.concatenate(masks)
  place = np.broadcast_to(np.arange(context), loss.shape)
  if 'segments' in given:
    place = np.asarray(places_in_segments(given['segments'][:, :-1]))
  return by_place(loss[mask], place[mask] + 1)


def by_place(loss: Float[np.ndarray, ' k'], read: Int[np.ndarray, ' k']) -> Places:
  """Means over how many tokens had been `read`: 1, 2, 3 to 4, 5 to 8, ..."""
  bins = np.ceil(np.log2(read)).astype(int)
  there, bins = np.unique(bins, return_inverse=True)
  count = np.bincount(bins)
  mean = np.bincount(bins, weights=loss) / count
  return Places(np.minimum(2**there, read.max(initial=1)), mean, count)


def look_at_heads(trained: Trained, source: Source) -> tuple[heads.Roles, heads.Text | None]:
  """What the heads do in rows of a split, and where they look in the middle one of these."""
  length = min(heads.MOST, len(source[0]['tokens']) - 1)
  given = rows(source, affordable(trained, LOOKED_AT, 4e11) // length)
  given = {k: x[:, : length + 1] for k, x in given.items() if k != 'scored'}
  vocabulary = tokenizers.of(trained.facts)
  if not isinstance(vocabulary, Vocabulary):
    raise UserError('nothing says which text its tokens stand for')
  look = heads.looker(trained, heads.separators(vocabulary, given['tokens']))
  found = [look({k: x[i : i + 1] for k, x in given.items()}) for i in range(len(given['tokens']))]
  middle = len(found) // 2
  shown = given['tokens'][middle, :-1][:SHOWN]
  if 'segments' in given:  # of its first document
    shown = shown[given['segments'][middle, : len(shown)] == given['segments'][middle, 0]]
  # No token sees what comes after it, so these are the weights of the text alone.
  weights = found[middle][3][0][:, :, : len(shown), : len(shown)]
  return heads.roles(found), heads.Text(heads.written(vocabulary, shown), weights)


def samples(trained: Trained) -> list[str]:
  """What it writes with nothing in front of it, as --mode=predict would."""
  author = Author(trained)
  count = SAMPLES if author.search.name == 'sample' else 1
  most = affordable(trained, SAID, 1e10)
  said = list(itertools.islice(author.say(author.read(''), count), most))
  return [author.vocabulary.decode(list(one.tokens)) for one in said[-1]] if said else []
