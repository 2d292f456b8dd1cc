"""BLEU and chrF of texts, by sacrebleu: detokenised and cased, comparable across papers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

BIN = 5  # tokens


class TextScores(NamedTuple):
  """Of a whole split.

  Attributes:
    bleu: Papineni et al. 2002; 0 to 100.
    chrf: chrF2, Popović 2015; 0 to 100.
    signatures: How the two were computed, as sacrebleu says it.
  """

  bleu: float
  chrf: float
  signatures: tuple[str, str]


def score(said: Sequence[str], references: Sequence[str]) -> TextScores:
  """Of sentences, each against its reference."""
  from sacrebleu.metrics import BLEU, CHRF  # imported late: most runs say no text

  metrics = BLEU(), CHRF()
  values = [metric.corpus_score(list(said), [list(references)]).score for metric in metrics]
  names = 'BLEU', 'chrF2'
  signatures = (f'{name}|{metric.get_signature()}' for name, metric in zip(names, metrics))
  return TextScores(*values, tuple(signatures))


def by_length(
  said: Sequence[str], references: Sequence[str], length: Int[np.ndarray, ' b']
) -> tuple[Int[np.ndarray, ' bins'], Float[np.ndarray, ' bins'], Int[np.ndarray, ' bins']]:
  """BLEU of the sentences of 1 to 5 tokens, 6 to 10, ...: upper ends, BLEU, how many there are."""
  bins = -(-length // BIN) * BIN
  ends, count = np.unique(bins, return_counts=True)
  members = [np.flatnonzero(bins == end) for end in ends]
  bleu = [score([said[i] for i in rows], [references[i] for i in rows]).bleu for rows in members]
  return ends, np.array(bleu), count
