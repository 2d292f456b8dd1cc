"""BLEU and chrF of texts, by sacrebleu: detokenised and cased, comparable across papers."""

import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vitlab.errors import UserError, unknown

BIN = 5  # tokens
TOKENIZE = '13a'  # sacrebleu's own default, for languages with spaces between their words


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


def check(tokenize: str) -> None:
  """Loads what BLEU divides texts into words with.

  Args:
    tokenize: sacrebleu's name of it: '13a', 'zh', 'ja-mecab', 'flores200', ...

  Raises:
    UserError: sacrebleu has no such tokenizer, or its package or model is not on this machine.
  """
  from sacrebleu.metrics import BLEU  # imported late: most runs say no text

  if tokenize not in BLEU.TOKENIZERS:
    raise unknown('tokenize of BLEU', str(tokenize), BLEU.TOKENIZERS)
  from sacrebleu.tokenizers import tokenizer_spm

  model = tokenizer_spm.SPM_MODELS.get(tokenize)
  if model is not None:
    path = os.path.join(tokenizer_spm.SACREBLEU_DIR, 'models', os.path.basename(model['url']))
    if not os.path.exists(path):  # sacrebleu would begin to download it
      call = f'import sacrebleu; sacrebleu.BLEU(tokenize={tokenize!r})'
      raise UserError(
        f'BLEU with tokenize={tokenize!r} needs the model {path}, which is not there\n'
        f'let sacrebleu download it once: python -c "{call}"'
      )
  try:
    _bleu(tokenize)
  except (ImportError, RuntimeError, AssertionError, OSError) as error:
    extra = f'"sacrebleu[{tokenize[:2]}]"' if tokenize.endswith('-mecab') else 'sacrebleu'
    reason = ' '.join(str(error).split())
    raise UserError(
      f'BLEU with tokenize={tokenize!r} cannot be computed here: {reason:.150}\n'
      f'install its package, pip install {extra}, or take another, such as {TOKENIZE!r}'
    ) from error


def score(said: Sequence[str], references: Sequence[str], tokenize: str = TOKENIZE) -> TextScores:
  """Of sentences, each against its reference; see `check` for `tokenize`."""
  from sacrebleu.metrics import CHRF

  metrics = dict(BLEU=_bleu(tokenize), chrF2=CHRF())
  values = [_corpus(metric, said, references) for metric in metrics.values()]
  signatures = (f'{name}|{metric.get_signature()}' for name, metric in metrics.items())
  return TextScores(*values, tuple(signatures))


def by_length(
  said: Sequence[str],
  references: Sequence[str],
  length: Int[np.ndarray, ' b'],
  tokenize: str = TOKENIZE,
) -> tuple[Int[np.ndarray, ' bins'], Float[np.ndarray, ' bins'], Int[np.ndarray, ' bins']]:
  """BLEU of the sentences of 1 to 5 tokens, 6 to 10, ...: upper ends, BLEU, how many there are.

  Where no sentence has as many as four words, it is that of the n-grams that there are
  (sacrebleu's effective order): four-grams that cannot be would make it 0.
  """
  bins = -(-length // BIN) * BIN
  ends, count = np.unique(bins, return_counts=True)
  metric, bleu = _bleu(tokenize, effective_order=True), []
  for end in ends:
    rows = np.flatnonzero(bins == end)
    bleu.append(_corpus(metric, [said[i] for i in rows], [references[i] for i in rows]))
  return ends, np.array(bleu), count


@functools.cache
def _bleu(tokenize: str, effective_order: bool = False) -> Any:
  from sacrebleu.metrics import BLEU

  return BLEU(tokenize=tokenize, effective_order=effective_order)


def _corpus(metric: Any, said: Sequence[str], references: Sequence[str]) -> float:
  if len(said) != len(references):  # of which sacrebleu would score the first, without a word
    raise ValueError(f'{len(said)} sentences and {len(references)} references')
  return metric.corpus_score(list(said), [list(references)]).score
