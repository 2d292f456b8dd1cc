"""How well a masked language model guesses hidden tokens, and which passage comes next."""

from collections.abc import Callable
from math import exp

import numpy as np

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result

LEADS = 'masked_accuracy'
SHOWN = 64  # examples whose guesses are kept


def make(split: str = 'test', reads: str = 'guesses') -> Callable[[Predictions], Result]:
  """Reads the task's guesses, whose hidden tokens depend on the number of the example alone.

  Args:
    split: Of texts.
    reads: The prediction of the task: 'guesses', or of a permutation language model, whose guesses
      know those that they come after, 'guesses_at_once', which do not, as in a masked one.

  Metrics: masked_loss (a mean over hidden tokens, in nats), masked_perplexity, masked_accuracy;
  where passages are guessed, next_accuracy.

  Details:
    guess_index, guess_place, guess_target, guess_guess, guess_nll: of the first 64 examples their
      number, and of each hidden token its place in the row (-1 where there is none), what stood
      there, what is guessed, and the surprise at what stood there in nats.
    guess_tokens: The tokens of these rows, before any was hidden; -1 is padding.

  Raises:
    UserError: no token of the split is hidden.
  """

  def evaluate(predictions: Predictions) -> Result:
    sums, count, following, shown = np.zeros(2), 0, [], []
    for found, batch in predictions(reads, split):
      sums += [np.sum(found['nll'], dtype=np.float64), np.sum(found['right'])]
      count += int(np.sum(found['counted']))
      if 'next_passage' in found:
        following.append(np.argmax(found['next_passage'], axis=-1) == batch['label'])
      if sum(map(len, (x['index'] for x in shown))) < SHOWN:
        shown.append(_shown(found, batch))
    if not count:
      raise UserError(f'no token of the split {split!r} is hidden: choose another split')
    metrics = dict(
      masked_loss=sums[0] / count,
      masked_perplexity=exp(min(sums[0] / count, 700.0)),
      masked_accuracy=sums[1] / count,
    )
    if following:
      metrics['next_accuracy'] = np.concatenate(following).mean()
    details = {
      f'guess_{name}': np.concatenate([x[name] for x in shown])[:SHOWN] for name in shown[0]
    }
    return Result({name: float(x) for name, x in metrics.items()}, details)

  return evaluate


def _shown(found, batch) -> dict[str, np.ndarray]:
  place = np.where(found['counted'], found['place'], -1)
  kept = {name: np.asarray(found[name]) for name in ('target', 'guess', 'nll')}
  tokens = np.asarray(batch['tokens'])
  if 'segments' in batch:
    tokens = np.where(np.asarray(batch['segments']) > 0, tokens, -1)
  return dict(index=np.asarray(batch['index']), place=place, tokens=tokens, **kept)
