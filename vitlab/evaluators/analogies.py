"""Athens is to Greece as Oslo is to what: questions-words.txt of Mikolov et al. 2013."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result, _word_vectors
from vitlab.ops.analogies import METHODS, nearness, unit

LEADS = 'accuracy'
_FORM = 'four words in each line, and lines such as ": capitals" before each section'
_AT_ONCE = 256  # questions that are compared with all words


def make(
  questions: str, limit: int = 30_000, vocabulary: Sequence[str] | None = None, split: str = 'words'
) -> Callable[[Predictions], Result]:
  """Reads the vectors of all words, the task's `features`.

  As word2vec's own program and gensim do: case is dropped, none of the three words that are given
  is an answer, and questions with a word that is not among the first `limit` do not count.

  Args:
    questions: The file. Sections that begin with `gram` are syntactic, all others semantic.
    limit: How many words, the most frequent, are known; 0: all.
    vocabulary: The words, the most frequent first; a fact of the data.
    split: Of all words.

  Metrics: accuracy, semantic_accuracy and syntactic_accuracy, by 3CosAdd; the same with multiply_
  in front, by 3CosMul; of no questions 0. unknown: the share that does not count.

  Details: sections; of each, section_count, section_add and section_multiply: right answers.

  Raises:
    UserError: the file cannot be read, or holds something else.
  """
  known = _word_vectors.numbers(vocabulary, limit)
  asked = _read(questions)
  rows = [[known.get(word) for word in words] for _, words in asked]
  inside = [i for i, row in enumerate(rows) if None not in row]
  numbers = np.array([rows[i] for i in inside], np.int64).reshape(-1, 4)
  sections = list(dict.fromkeys(section for section, _ in asked))
  section = np.array([sections.index(asked[i][0]) for i in inside], np.int64)
  syntactic = np.array([name.startswith('gram') for name in sections])[section]
  same = np.array([known[word.upper()] for word in vocabulary[: limit or None]])

  def evaluate(predictions: Predictions) -> Result:
    units = unit(_word_vectors.vectors(predictions, split)[: limit or None])
    metrics = dict(unknown=1 - len(inside) / len(rows))
    details = dict(sections=np.array(sections), section_count=_count(section, sections))
    for method, prefix in zip(METHODS, ('', 'multiply_')):
      right = _answers(units, numbers, same, method) == numbers[:, 3]
      for name, some in dict(
        accuracy=..., semantic_accuracy=~syntactic, syntactic_accuracy=syntactic
      ).items():
        metrics[prefix + name] = float(np.mean(right[some])) if right[some].size else 0.0
      details[f'section_{method}'] = _count(section[right], sections)
    return Result(metrics, details)

  return evaluate


def _answers(
  units: Float[np.ndarray, 'words d'],
  questions: Int[np.ndarray, 'b 4'],
  same: Int[np.ndarray, ' words'],
  method: str,
) -> Int[np.ndarray, ' b']:
  """The nearest word to b - a + c that is none of them, by the first that is written alike."""
  found = [np.zeros(0, np.int64)]
  for start in range(0, len(questions), _AT_ONCE):
    a, b, c, _ = questions[start : start + _AT_ONCE].T
    near = nearness(units, np.stack([b, c], 1), a[:, None], method)
    given = np.any([same == word[:, None] for word in (a, b, c)], axis=0)
    found.append(same[np.argmax(np.where(given, -np.inf, near), axis=1)])
  return np.concatenate(found)


def _count(section: Int[np.ndarray, ' b'], sections: Sequence[str]) -> Int[np.ndarray, ' s']:
  return np.bincount(section, minlength=len(sections))


def _read(path: str) -> list[tuple[str, list[str]]]:
  """(section, four words in upper case) of every question."""
  found, section = [], ''
  for number, line in enumerate(_word_vectors.lines(path, _FORM), 1):
    words = line.upper().split()
    if line.startswith(':'):
      section = line[1:].strip()
    elif words and len(words) != 4:
      raise UserError(f'{path}: line {number} has {len(words)} words: expected {_FORM}')
    elif words:
      found.append((section, words))
  if not found:
    raise UserError(f'{path} holds no questions: expected {_FORM}')
  return found
