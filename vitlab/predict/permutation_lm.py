"""A trained permutation language model at work: what may stand where a line has a [MASK].

A query never sees what stands in its place, so that no token has to stand for a mask: every
vocabulary will do. All masks of a line are guessed at once, each from what is no mask.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vitlab import registry
from vitlab.data import tokenizers
from vitlab.errors import UserError
from vitlab.predict import DEFAULTS, Options
from vitlab.predict.trained import Trained
from vitlab.pretrained import About

masked_lm = registry.module('predict', 'masked_lm')
KIND, MASK = 'permutation_lm', masked_lm.MASK
HIDDEN = -1  # in the place of a token
CONTEXT = 511  # of weights, which have learned no places: as many tokens as the paper's, less one


class Filler(masked_lm.Filler):
  """A trained permutation language model with its vocabulary.

  Args:
    trained: The model.

  Raises:
    UserError: its vocabulary is not known.
  """

  def __init__(self, trained: Trained):
    self.vocabulary = tokenizers.of_language(trained.facts, trained.workdir)
    self.mask, self.hidden = MASK, HIDDEN
    self.length = trained.facts['context'] + 1
    self._trained, self._guess = trained, jax.jit(self._probabilities)

  def read(self, line: str) -> Int[np.ndarray, ' t']:
    """The tokens of a line, `HIDDEN` for a mask.

    Raises:
      UserError: it has no mask, nothing else, or more tokens than the model has learned from.
    """
    first, *others = self.vocabulary.encode([part.strip() for part in line.split(MASK)])
    if not others:
      raise UserError(f'no {MASK}: put it where a word is to be guessed')
    tokens = np.concatenate([first, *([HIDDEN, *other] for other in others)]).astype(np.int32)
    if (tokens == HIDDEN).all():
      raise UserError(f'nothing but {MASK}: give it a text')
    if len(tokens) > self.length:
      raise UserError(
        f'{len(tokens):,} tokens, more than the {self.length:,} that the model reads: shorten it'
      )
    return tokens

  def _probabilities(self, variables: Any, batch: Any) -> Float[Array, 't vocab']:
    hidden = batch['tokens'] == HIDDEN
    batch = dict(batch, hidden=hidden, tokens=jnp.where(hidden, 0, batch['tokens']))
    return super()._probabilities(variables, batch)


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Fills the masks of lines, see `vitlab.predict.masked_lm.run`."""
  masked_lm.run(trained, paths, options, Filler)


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of published weights, with the vocabulary that lies beside them.

  Args:
    path: Where the weights are.
    about: What travels with them.
    overrides: Changes of the command line; they change no more than the task.

  Raises:
    UserError: the weights guess no words; the vocabulary has more tokens than they; there is none.
  """
  del overrides
  head = about.spec['head']
  if head != 'words':
    raise UserError(
      f'{path}: these weights guess no words and classify no texts (head={head!r})'
      '\nfine-tune them: configs/bert_classify.py'
    )
  return dict(name=KIND, special=None), about.text(path) | dict(context=CONTEXT)
