"""How well sentences are said: by themselves, and word by word with the right ones before them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vitlab.data import tokenizers
from vitlab.data.marian import Marian
from vitlab.data.tokenizers import Tokenizer
from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result, _text_scores
from vitlab.lines import one_line
from vitlab.ops.tokens import PAD

LEADS = 'bleu'
MAX_EXAMPLES = 32


def make(
  split: str = 'test',
  attention: int = 0,
  tokenizer: str | None = None,
  tokenize: str = _text_scores.TOKENIZE,
) -> Callable[[Predictions], Result]:
  """Reads the task's `scores` and `decoded`, and `cross_attention` if it is wanted.

  Args:
    split: Of sentences.
    attention: For how many of the first of them the attention is kept, while the right target is
      read; of a model that has it.
    tokenizer: Of text: the fact of its data set. Sentences are then compared as texts, too: what
      is said with the lines of the data set themselves, where it has them.
    tokenize: How BLEU divides a text into words, by sacrebleu's name: '13a', 'zh', 'ja-mecab',
      'ko-mecab', 'flores200', 'intl', 'char', 'none', ...; it is not guessed from the language.

  Metrics: accuracy (decoded sentences that are the target, all tokens of it), token_accuracy and
  loss (of the next token where the right ones before it are known; the loss a mean over tokens),
  perplexity = exp(loss). Of text: bleu and chrf, from 0 to 100, as `sacrebleu` computes them.

  Details, by length of the source without its EOS:
    length, length_accuracy, length_count: of what occurs.
    bleu_length, length_bleu, bleu_count: of text, by upper ends of 1 to 5 tokens, 6 to 10, ...
    signatures: how BLEU and chrF were computed.
    examples_index, examples_tokens, examples_targets, examples_decoded: the first 32 of the split.
    examples_text: of text, [sentences, 3]: source, target and what is said.
    attention: [sentences, layers, heads, t, s], of the first examples.

  Raises:
    UserError: the split is empty; attention is asked of a model that has none; or as
      `_text_scores.check`, at once.
  """
  vocabulary = tokenizers.from_text(tokenizer) if tokenizer else None
  if tokenizer or tokenize != _text_scores.TOKENIZE:
    _text_scores.check(tokenize)

  def evaluate(predictions: Predictions) -> Result:
    loss, right, tokens = _totals(predictions, split)
    metrics, details = _said(predictions, split, vocabulary, tokenize)
    if attention:
      details['attention'] = _attention(predictions, split, attention)
    metrics |= dict(
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


def _said(
  predictions: Predictions, split: str, vocabulary: Tokenizer | Marian | None, tokenize: str
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
  """How much of what is said is right, and the details of which."""
  rows, lines = [], []
  for outputs, batch in predictions('decoded', split):
    best = np.asarray(outputs['tokens'])[:, 0]
    rows += zip(batch['index'], batch['tokens'], batch['targets'], best)
    lines += batch.get('text', ())
  index, *columns = zip(*rows)
  tokens, targets, said = ([row[row != PAD] for row in column] for column in columns)
  exact = np.array([np.array_equal(*pair) for pair in zip(said, targets)])
  length = np.array([len(row) - 1 for row in tokens])
  lengths, inverse, count = np.unique(length, return_inverse=True, return_counts=True)
  metrics = dict(accuracy=float(np.mean(exact)))
  details = dict(
    length=lengths, length_accuracy=np.bincount(inverse, exact) / count, length_count=count
  )
  if vocabulary is not None:
    found = [one_line(vocabulary.decode(row)) for row in said]  # as predict prints it
    source, references = _texts(lines, vocabulary, tokens, targets)
    scores = _text_scores.score(found, references, tokenize)
    metrics |= dict(bleu=scores.bleu, chrf=scores.chrf)
    names = ('bleu_length', 'length_bleu', 'bleu_count')
    details |= zip(names, _text_scores.by_length(found, references, length, tokenize))
    details['signatures'] = np.array(scores.signatures)
    details['examples_text'] = np.array(list(zip(source, references, found))[:MAX_EXAMPLES])
  details['examples_index'] = np.array(index[:MAX_EXAMPLES])
  for name, column in dict(tokens=tokens, targets=targets, decoded=said).items():
    details[f'examples_{name}'] = _padded(column[:MAX_EXAMPLES])
  return metrics, details


def _texts(
  lines: Sequence[Mapping[str, str]], vocabulary: Tokenizer | Marian, *columns: Sequence[np.ndarray]
) -> list[list[str]]:
  """Sources and references: the lines of the data set; of one without lines, what its tokens say.

  Tokens may say less: letters that the vocabulary does not have, all that it has normalised.
  """
  if lines:
    return [[line[key] for line in lines] for key in ('tokens', 'targets')]
  return [[vocabulary.decode(row) for row in column] for column in columns]


def _padded(rows: Sequence[np.ndarray]) -> np.ndarray:
  """As one array."""
  padded = np.full((len(rows), max(map(len, rows))), PAD, np.int32)
  for to, row in zip(padded, rows):
    to[: len(row)] = row
  return padded


def _attention(predictions: Predictions, split: str, count: int) -> np.ndarray:
  """Of the first sentences, each with zeros behind its ends."""
  found, rows = [], predictions('cross_attention', split)
  for layers, _ in rows:
    found.extend(np.stack([np.asarray(layer, np.float16) for layer in layers], axis=1))
    if len(found) >= count:
      rows.close()
      break
  found = found[:count]
  sides = np.max([maps.shape[-2:] for maps in found], axis=0)
  margins = [[(0, 0), (0, 0), *((0, n) for n in sides - maps.shape[-2:])] for maps in found]
  return np.stack([np.pad(maps, margin) for maps, margin in zip(found, margins)])
