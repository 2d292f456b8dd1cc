"""Whether near vectors are of words that people find alike: WordSim-353, SimLex-999, ..."""

import csv
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result, _word_vectors
from vitlab.ops.analogies import unit

LEADS = 'spearman'
_FORM = 'two words and a score in each line, separated by tabs or commas'


def make(
  pairs: str, vocabulary: Sequence[str] | None = None, split: str = 'words'
) -> Callable[[Predictions], Result]:
  """Reads the vectors of all words, the task's `features`.

  Args:
    pairs: A CSV or TSV file: two words and what people say; a header may come first, and lines
      that begin with # are comments. Case is dropped.
    vocabulary: The words; a fact of the data.
    split: Of all words.

  Metrics: spearman, the correlation of the ranks of cosines and scores, over the pairs of which
  both words are known; unknown, the share of the pairs that are not.

  Details: pairs_words [pairs, 2], pairs_score, pairs_cosine: of those that are known.

  Raises:
    UserError: the file cannot be read, or holds something else.
  """
  known = _word_vectors.numbers(vocabulary)
  asked = _read(pairs)
  rows = [(known.get(a.upper()), known.get(b.upper()), score) for a, b, score in asked]
  inside = [i for i, (a, b, _) in enumerate(rows) if a is not None and b is not None]

  def evaluate(predictions: Predictions) -> Result:
    units = unit(_word_vectors.vectors(predictions, split))
    left, right, score = (np.array([rows[i][k] for i in inside]) for k in range(3))
    cosine = np.sum(units[left.astype(int)] * units[right.astype(int)], axis=-1)
    spearman = stats.spearmanr(score, cosine)[0] if len(inside) > 2 else math.nan
    details = dict(
      pairs_words=np.array([asked[i][:2] for i in inside]).reshape(-1, 2),
      pairs_score=score,
      pairs_cosine=cosine,
    )
    return Result(dict(spearman=float(spearman), unknown=1 - len(inside) / len(rows)), details)

  return evaluate


def _read(path: str) -> list[tuple[str, str, float]]:
  lines = _word_vectors.lines(path, _FORM)
  delimiter = '\t' if any('\t' in line for line in lines) else ','
  found = []
  for number, row in enumerate(csv.reader(lines, delimiter=delimiter), 1):
    if not row or row[0].startswith('#'):
      continue
    try:
      a, b, score = (cell.strip() for cell in row)
      found.append((a, b, float(score)))
    except ValueError:
      if found or len(row) != 3:
        raise UserError(f'{path}: line {number} reads {row}: expected {_FORM}') from None
  if not found:
    raise UserError(f'{path} holds no pairs: expected {_FORM}')
  return found
