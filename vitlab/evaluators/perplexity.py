"""How surprised a language model is by a text."""

from collections.abc import Callable, Mapping
from math import exp, log

import numpy as np
from jaxtyping import Float, Int

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result

LEADS = 'perplexity'


def make(
  split: str = 'test', sizes: Mapping[str, Mapping[str, int]] | None = None
) -> Callable[[Predictions], Result]:
  """Reads the task's `scores`.

  Args:
    split: Of texts.
    sizes: The fact of its data set, split -> how many 'tokens', 'characters' and 'bytes' the text
      has. None: nobody knows, and the metrics by them are left out.

  Metrics: loss (a mean over the tokens that count, in nats), perplexity = exp(loss), bits_per_token
  = loss / log(2), token_accuracy; of known sizes bits_per_character and bits_per_byte (UTF-8) =
  bits_per_token · tokens / characters or bytes. By these models compare whose vocabularies differ.

  Details:
    place_loss, place_count: the mean loss of each place in a window, and how many tokens counted.
    tokens: how many tokens counted.

  Raises:
    UserError: no token of the split counts.
  """
  sizes = (sizes or {}).get(split, {})

  def evaluate(predictions: Predictions) -> Result:
    loss, right, count = _sums(predictions, split)
    tokens = int(count.sum())
    mean = float(loss.sum()) / tokens
    metrics = dict(
      loss=mean,
      perplexity=exp(min(mean, 700.0)),
      bits_per_token=mean / log(2),
      token_accuracy=right / tokens,
    )
    for unit in ('character', 'byte'):
      if sizes.get(f'{unit}s'):
        # By the text's own ratio: its first token, which nobody can say, costs as much as others.
        metrics[f'bits_per_{unit}'] = mean / log(2) * sizes['tokens'] / sizes[f'{unit}s']
    place = np.divide(loss, count, out=np.full(len(loss), np.nan), where=count > 0)
    return Result(metrics, dict(place_loss=place, place_count=count, tokens=np.array(tokens)))

  return evaluate


def _sums(
  predictions: Predictions, split: str
) -> tuple[Float[np.ndarray, ' t'], float, Int[np.ndarray, ' t']]:
  """Loss of each place, right tokens, tokens of each place: sums over the split, in float64."""
  loss, right, count = 0.0, 0.0, 0
  for outputs, _ in predictions('scores', split):
    loss = loss + np.sum(outputs['nll'], axis=0, dtype=np.float64)
    right += float(np.sum(outputs['right']))
    count = count + np.sum(outputs['counted'], axis=0)
  if not np.any(count):
    raise UserError(f'no token of the split {split!r} counts: choose another split')
  return loss, right, count
