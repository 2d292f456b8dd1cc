"""How well sentences are said: by themselves, and word by word with the right ones before them."""

from collections.abc import Callable

import numpy as np

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result
from vitlab.ops.tokens import PAD

MAX_EXAMPLES = 32


def make(split: str = 'test', attention: int = 0) -> Callable[[Predictions], Result]:
  """Reads the task's `scores` and `decoded`, and `cross_attention` if it is wanted.

  Args:
    split: Of sentences.
    attention: For how many of the first of them the attention is kept, while the right target is
      read; of a model that has it.

  Metrics: accuracy (decoded sentences that are the target, all tokens of it), token_accuracy and
  loss (of the next token where the right ones before it are known; the loss a mean over tokens),
  perplexity = exp(loss).

  Details, by length of the source without its EOS:
    length, length_accuracy, length_count: of what occurs.
    examples_index, examples_tokens, examples_targets, examples_decoded: the first 32 of the split.
    attention: [sentences, layers, heads, t, s], of the first examples.

  Raises:
    UserError: the split is empty; attention is asked of a model that has none.
  """

  def evaluate(predictions: Predictions) -> Result:
    loss, right, tokens = _totals(predictions, split)
    exact, details = _said(predictions, split)
    if attention:
      details['attention'] = _attention(predictions, split, attention)
    metrics = dict(
      accuracy=exact,
      loss=loss / tokens,
      perplexity=float(np.exp(loss / tokens)),
      token_accuracy=right / tokens,
    )
    return Result(metrics, details)

  return evaluate


def _totals(predictions: Predictions, split: str) -> list[float]:
  """Loss, right tokens and tokens of the whole split."""
  scores = [outputs for outputs, _ in predictions('scores', split)]
  if not scores:
    raise UserError(f'the split {split!r} has no examples to evaluate: choose another split')
  return [
    float(np.sum(np.concatenate([part[name] for part in scores]), dtype=np.float64))
    for name in ('loss', 'right', 'tokens')
  ]


def _said(predictions: Predictions, split: str) -> tuple[float, dict[str, np.ndarray]]:
  """The share of sentences that are said right, and the details of which."""
  exact, length, examples = [], [], []
  for outputs, batch in predictions('decoded', split):
    said = np.asarray(outputs['tokens'])
    exact.append(_equal(said, batch['targets']))
    length.append(np.sum(batch['tokens'] != PAD, axis=-1) - 1)
    examples.append((batch['index'], batch['tokens'], batch['targets'], said))
  exact, length = np.concatenate(exact), np.concatenate(length)
  lengths, inverse, count = np.unique(length, return_inverse=True, return_counts=True)
  details = dict(
    length=lengths, length_accuracy=np.bincount(inverse, exact) / count, length_count=count
  )
  for name, parts in zip(('index', 'tokens', 'targets', 'decoded'), zip(*examples)):
    details[f'examples_{name}'] = np.concatenate(parts)[:MAX_EXAMPLES]
  return float(np.mean(exact)), details


def _attention(predictions: Predictions, split: str, count: int) -> np.ndarray:
  found, rows = [], predictions('cross_attention', split)
  for layers, _ in rows:
    found.extend(np.stack([np.asarray(layer, np.float16) for layer in layers], axis=1))
    if len(found) >= count:
      rows.close()
      break
  return np.stack(found[:count])


def _equal(said: np.ndarray, targets: np.ndarray) -> np.ndarray:
  """Which rows are the same, their padding apart."""
  width = max(said.shape[-1], targets.shape[-1])
  said, targets = (np.pad(x, [(0, 0), (0, width - x.shape[-1])]) for x in (said, targets))
  return np.all(said == targets, axis=-1)
