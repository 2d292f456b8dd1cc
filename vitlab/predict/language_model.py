"""A trained language model at work: prompts in, what follows them out."""

import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from vitlab import tasks
from vitlab.data import tokenizers
from vitlab.errors import UserError
from vitlab.lines import json_line, one_line
from vitlab.ops.search import make_search
from vitlab.predict import DEFAULTS, Options, Program
from vitlab.predict.continuation import Continuation
from vitlab.predict.inputs import read_lines
from vitlab.predict.output import open_output
from vitlab.predict.trained import Trained
from vitlab.pretrained import About
from vitlab.tasks.language_model import MAX_TOKENS, SEARCH
from vitlab.train import setup

KIND = 'language_model'
HALF = '\ufffd'  # what a decoder writes for bytes that are no whole character yet


class Said(NamedTuple):
  """What follows a prompt, so far.

  Attributes:
    tokens: Of one sample.
    score: Their log-probability, and that of the end of the text where it has ended.
    ended: Whether the model has said that the text ends.
  """

  tokens: tuple[int, ...] = ()
  score: float = 0.0
  ended: bool = False


class Author:
  """A trained language model with its vocabulary.

  Args:
    trained: The model.

  Raises:
    UserError: its vocabulary is not known, or is larger than the model's.
  """

  def __init__(self, trained: Trained):
    vocabulary = tokenizers.of_language(trained.facts, trained.workdir)
    spec = tasks.innermost(trained.config.task)
    self.vocabulary, self.context = vocabulary, trained.facts['context']
    self.max_tokens = spec.get('max_tokens', MAX_TOKENS)
    self.search = make_search(dict(spec.get('search') or SEARCH))
    model = setup.make_model(trained.config, trained.facts)
    variables = trained.variables['model']
    self._go_on = Continuation(model, variables, self.search, self.context, len(vocabulary))

  def read(self, prompt: str) -> Int[np.ndarray, ' t']:
    """The tokens of a prompt; of an empty one, what texts begin with.

    Raises:
      UserError: there are more than the model reads at once, or none.
    """
    (tokens,) = self.vocabulary.encode([prompt])
    if not len(tokens):
      tokens = self._begin()
    if len(tokens) > self.context and not self._go_on.endless:
      raise UserError(
        f'{len(tokens):,} tokens, more than the {self.context:,} that the model reads: shorten it'
      )
    return np.asarray(tokens, np.int32)

  def _begin(self) -> Int[np.ndarray, ' t']:
    if self.vocabulary.special.begin is not None:
      return np.array([self.vocabulary.special.begin])
    try:
      (line_end,) = self.vocabulary.encode(['\n'])
    except UserError:  # a character that it has not
      line_end = np.array([], np.int32)
    if not len(line_end):
      raise UserError('an empty prompt, and no token that texts begin with: give it some text')
    return line_end

  def say(self, tokens: Int[np.ndarray, ' t'], samples: int) -> Iterator[list[Said]]:
    """The samples after each token, until all have ended or are as long as they may be."""
    said, end = [Said()] * samples, self.vocabulary.special.end
    for chosen, gains in itertools.islice(self._go_on(tokens, samples), self.max_tokens):
      said = [_extended(*each, end) for each in zip(said, chosen.tolist(), gains.tolist())]
      yield said
      if all(one.ended for one in said):
        return


def _extended(said: Said, token: int, gain: float, end: int | None) -> Said:
  if said.ended:
    return said
  score = said.score + gain
  return Said(said.tokens, score, True) if token == end else Said((*said.tokens, token), score)


def run(trained: Trained, paths: Sequence[str], options: Options = DEFAULTS) -> None:
  """Continues prompts, each a line of files or of standard input.

  One prompt alone is printed as it grows, with line ends as they are; several are a line each, with
  spaces for line ends, and so are several samples of any. A prompt that cannot be continued is
  named on standard error, and an empty line stands for it. A text that grows longer than the
  context goes on from its last half, or from the memory of a model that has one.

  Args:
    trained: The model.
    paths: See `vitlab.predict.inputs.read_lines`.
    options: `nbest` is the number of samples: from two on with the number of the line and the
      log-probability before them, separated by tabs. Where the search is greedy there is one.

  Raises:
    UserError: there is no vocabulary; the output cannot be written.
  """
  author, prompts, output = Author(trained), read_lines(paths), options.output
  samples = 1
  if author.search.name == 'sample':
    samples = max(options.nbest, author.search.width)
  with open_output(output) as file:
    for number, prompt in enumerate(prompts, 1):
      alone = len(prompts) == samples == 1
      found, error = _continued(author, prompt, samples, stream=alone)
      if error:
        print(f'line {number}: {error}', file=sys.stderr)
      file.write(json_line(_as_json(prompt, found, error)))
      if samples > 1:
        for text, score in found:
          print(f'{number}\t{score:.4f}\t{one_line(prompt + text)}')
      elif not (alone and found):
        print(one_line(prompt + found[0][0]) if found else '')


def _continued(
  author: Author, prompt: str, samples: int, stream: bool
) -> tuple[list[tuple[str, float]], str]:
  """(text that follows, log-probability) of all samples, or why there are none."""
  try:
    tokens = author.read(prompt)
  except UserError as error:
    return [], str(error).replace('\n', ': ')
  decode = author.vocabulary.decode
  # A text is decoded as a whole: of some vocabularies its first piece alone would lose its space.
  read, shown, said = tokens.tolist(), '', []
  before = decode(read)
  if stream:
    print(prompt, end='', flush=True)
  for said in author.say(tokens, samples):
    if stream:
      text = _behind(before, decode([*read, *said[0].tokens])).rstrip(HALF)
      print(text[len(shown) :], end='', flush=True)
      shown = text
  texts = [_behind(before, decode([*read, *one.tokens])) for one in said]
  if stream:
    print(texts[0][len(shown) :])
  return [(text, one.score) for text, one in zip(texts, said)], ''


def _behind(before: str, text: str) -> str:
  """What a text says behind another, as which it begins."""
  return text[len(os.path.commonprefix([before, text])) :]


def _as_json(prompt: str, found: Sequence[tuple[str, float]], error: str) -> dict[str, Any]:
  rows = [dict(text=text, score=score) for text, score in found]
  return dict(prompt=prompt, found=rows) | (dict(error=error) if error else {})


def exported(trained: Trained) -> Program:
  """Tokens, as many as the context -> logits of what follows each: float32, b t vocab."""
  logits, context = trained.task.predict['logits'], trained.facts['context']

  def function(tokens: Any) -> Any:
    return logits(trained.variables, dict(tokens=jnp.pad(tokens, ((0, 0), (0, 1)))))

  known = {key: trained.facts.get(key) for key in ('vocab_size', 'context', 'tokenizer')}
  return Program(function, jax.ShapeDtypeStruct((1, context), np.int32), known)


def published(
  path: str, about: About, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Task and facts of published weights, with the vocabulary that lies beside them.

  Args:
    path: Where the weights are.
    about: What travels with them.
    overrides: Changes of the command line; they change no more than the task.

  Raises:
    UserError: the vocabulary has more tokens than the weights.
  """
  del overrides
  facts = about.text(path) | dict(context=about.spec['context'])
  return dict(name=KIND, search=SEARCH, max_tokens=MAX_TOKENS), facts
