"""A trained translator at work, from its workdir alone: lines of text in, lines of text out."""

import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from vitlab import pretrained
from vitlab.data import marian, pipeline, tokenizers
from vitlab.data.sentences import Sentences
from vitlab.errors import UserError
from vitlab.lines import json_line, one_line
from vitlab.ops.tokens import PAD
from vitlab.predict import DEFAULTS, Options
from vitlab.predict.inputs import read_lines
from vitlab.predict.output import open_output
from vitlab.predict.trained import Trained
from vitlab.pretrained import About

BATCH_SIZE = 64
MOST_ROOM = 2**15  # tokens of a batch, over all beams, for which a search keeps a state
BUCKETS = (16, 32, 64, 128, 256, 512, 1024)  # tokens; the last are the most that a line may have


class Translation(NamedTuple):
  """What becomes of one line.

  Attributes:
    source: The line.
    tokens: Of the source.
    found: (text, score, tokens) of the sentences that were found, the best first; none where the
      line is empty or has too many tokens.
    error: Why there are none, or ''.
  """

  source: str
  tokens: Int[np.ndarray, ' s']
  found: Sequence[tuple[str, float, Int[np.ndarray, ' t']]] = ()
  error: str = ''


def translate(trained: Trained, lines: Sequence[str]) -> list[Translation]:
  """Translates lines, batched with their like.

  Raises:
    UserError: the model does not say sentences.
  """
  vocabulary = tokenizers.of(trained.facts)
  if vocabulary is None or 'decoded' not in trained.task.predict:
    raise UserError(f'workdir {trained.workdir!r} holds no translator')
  if not trained.facts.get('tokenizer') and any('▁' in piece for piece in vocabulary.pieces):
    raise UserError(
      f'{trained.workdir}: its words are pieces of a sentencepiece model, which is not beside the '
      f'weights\nput its {marian.SOURCE} and {marian.TARGET} there, or start a run from them: '
      f'config.init_from={trained.workdir!r}'
    )
  done = [Translation(*pair) for pair in zip(lines, vocabulary.encode(lines))]
  good = []
  for i, one in enumerate(done):
    if len(one.tokens) > BUCKETS[-1]:
      error = f'{len(one.tokens):,} tokens, more than {BUCKETS[-1]:,}: cut it into sentences'
      done[i] = one._replace(error=error)
    elif one.source.strip():
      good.append(i)
  good.sort(key=lambda i: len(done[i].tokens))
  for i, sentences, scores in _decoded(trained, [done[i].tokens for i in good]):
    rows = [row[row != PAD] for row in sentences]
    found = [
      (vocabulary.decode(row), float(score), row)
      for row, score in zip(rows, scores)
      if np.isfinite(score)
    ]
    done[good[i]] = done[good[i]]._replace(found=found)
  return done


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Translates the lines of files, or of standard input; see `read_lines` and `write`."""
  write(trained, read_lines(paths), options.output, options.nbest)


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of a published translator, which searches as the files of its weights say.

  Args:
    path: Where the weights are.
    about: What travels with them.
    overrides: Changes of the command line to the task: with another search theirs is not asked.

  Raises:
    UserError: what their files say is not done here, and the search is not another one.
  """
  facts = dict(vocab_size=about.spec['vocab_size'], vocabulary=list(about.vocabulary))
  if (pathlib.Path(path).expanduser() / marian.SOURCE).exists():
    facts['tokenizer'] = tokenizers.load(path).text
  wanted = pretrained.generation(path)
  searched = any(text.partition('=')[0].endswith('config.task.search') for text in overrides)
  if wanted.refused and not searched:
    raise UserError(
      f'{path}: its generation_config.json wants {", ".join(wanted.refused)}, which vitlab does '
      'not do\nsay how to search instead, for example --search=beam,beams=4'
    )
  return dict(name='translation', search=wanted.search, max_tokens=wanted.max_tokens), facts


def write(trained: Trained, lines: Sequence[str], output: str = '', nbest: int = 1) -> None:
  """Prints the translation of every line and, if asked for, writes JSON lines.

  A line that cannot be translated is named on standard error, and an empty one stands for it. A
  translation is one line: its line ends and tabs are printed as spaces, and stay in the JSON.

  Args:
    trained: The model.
    lines: See `vitlab.predict.inputs.read_lines`.
    output: Where the JSON lines go; '' for nowhere.
    nbest: How many are printed of each, if the search finds as many: from two on with the number
      of the line and the score before them, separated by tabs.

  Raises:
    UserError: as `translate`; the output cannot be written.
  """
  with open_output(output) as file:
    for number, one in enumerate(translate(trained, lines), 1):
      if one.error:
        print(f'line {number}: {one.error}', file=sys.stderr)
      file.write(json_line(_as_json(one, nbest)))
      if nbest == 1:
        print(one_line(one.found[0][0]) if one.found else '')
      for text, score, _ in one.found[:nbest] if nbest > 1 else ():
        print(f'{number}\t{score:.4f}\t{one_line(text)}')


def _decoded(
  trained: Trained, rows: Sequence[Int[np.ndarray, ' _']]
) -> Iterator[tuple[int, Int[np.ndarray, 'k t'], Float[np.ndarray, ' k']]]:
  """(number, what was found, its scores) of every row."""
  if not rows:
    return
  decode = jax.jit(trained.task.predict['decoded'])
  batches = pipeline.eval_batches(
    Sentences(dict(tokens=rows), BUCKETS), batch_size=min(_batch_size(trained), len(rows))
  )
  first = 0
  for batch in batches:
    found = jax.device_get(decode(trained.variables, batch))
    for i in range(int(batch['mask'].sum())):
      yield first + i, found['tokens'][i], found['score'][i]
    first += len(batch['mask'])
  batches.close()


def _batch_size(trained: Trained) -> int:
  """Fewer where each sentence has room for many tokens, along many beams."""
  task = trained.config.task
  room = task.get('max_tokens', 0) * (task.get('search') or {}).get('beams', 1)
  return min(BATCH_SIZE, max(1, MOST_ROOM // room)) if room else BATCH_SIZE


def _as_json(one: Translation, nbest: int) -> dict[str, Any]:
  found = [dict(text=text, score=score) for text, score, _ in one.found[:nbest]]
  return dict(source=one.source, found=found) | (dict(error=one.error) if one.error else {})
