"""A page for sentences of one's own: what a translator says, and where it looks meanwhile."""

import pathlib
import sys
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from vitlab.data import tokenizers
from vitlab.errors import UserError
from vitlab.ops.tokens import PAD
from vitlab.predict import Options, inputs, translation
from vitlab.predict.trained import Trained
from vitlab.predict.translation import Translation
from vitlab.report import drawers, page
from vitlab.report.markup import Section, escape
from vitlab.report.translation.sections import alignment

MOST = 32  # sentences on one page


def attention(trained: Trained, paths: Sequence[str], options: Options) -> None:
  """`write`, of what --mode=predict is given; prints where the page is."""
  page = write(trained, inputs.read_lines(paths), options.output, options.nbest)
  print(page, file=sys.stderr)  # standard output has the translations


def write(trained: Trained, lines: Sequence[str], output: str = '', nbest: int = 1) -> pathlib.Path:
  """Prints the translations of lines and writes a page of their alignments, by layer and head.

  Args:
    trained: The model.
    lines: Of text; of more than 32 the first are looked at.
    output: The page; by default attention.html in the workdir.
    nbest: As for `vitlab.predict.translation.write`.

  Returns:
    The page.

  Raises:
    UserError: the model does not translate or has no attention; the output is not to be a page.
  """
  path = drawers.attention_path(trained, output)
  pieces = tokenizers.of(trained.facts).pieces
  translation.write(trained, lines, nbest=nbest)
  seen = [one for one in translation.translate(trained, lines[:MOST]) if one.found]
  if not seen:
    raise UserError('no line could be translated')
  words = f'{len(seen)} sentences, translated by <strong>{escape(trained.workdir)}</strong>.'
  parts = [_section(i, one, maps, pieces) for i, (one, maps) in enumerate(_look(trained, seen), 1)]
  return page.save(path, page.assemble('Alignments', f'<p class="lead">{words}</p>', parts))


def _look(
  trained: Trained, seen: Sequence[Translation]
) -> list[tuple[Translation, Float[np.ndarray, 'layers n t s']]]:
  """Where the model looks while it says the best sentence that it has found, token by token."""
  width = max(max(len(one.tokens), len(one.found[0][2])) for one in seen)
  padded = np.full((2, len(seen), width), PAD, np.int32)
  for i, one in enumerate(seen):
    padded[0, i, : len(one.tokens)] = one.tokens
    padded[1, i, : len(one.found[0][2])] = one.found[0][2]
  batch = dict(zip(('tokens', 'targets'), padded))
  layers = jax.jit(trained.task.predict['cross_attention'])(trained.variables, batch)
  return list(zip(seen, np.stack([np.asarray(layer) for layer in layers], axis=1)))


def _section(
  number: int, one: Translation, maps: Float[np.ndarray, 'layers n t s'], pieces: Sequence[str]
) -> Section:
  text, _, tokens = one.found[0]
  source, target = ([pieces[t] for t in row] for row in (one.tokens, tokens))
  heads = ''.join(
    f'<figure><figcaption>layer {i + 1}, head {j + 1}</figcaption>'
    f'{alignment(maps[i, j], source, target)}</figure>'
    for i, j in np.ndindex(maps.shape[:2])
  )
  mean = alignment(maps.mean(axis=(0, 1)), source, target)
  body = f'<div class="alignments">{mean}</div>'
  if maps.shape[0] * maps.shape[1] > 1:
    body += f'<details><summary>Every head</summary><div class="alignments">{heads}</div></details>'
  note = f'{escape(one.source)}<br><b>{escape(text)}</b>'
  return Section(f'Sentence {number}', note, body)
