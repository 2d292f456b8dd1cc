"""The vocabularies of language models by name: learned from a text, read from a path, or a fact."""

import base64
import itertools
import json
import pathlib
from collections.abc import Callable, Iterable

from vitlab.data.vocabularies import Vocabulary, exported, learned, pieces, plain, published
from vitlab.data.vocabularies.pieces import Pieces
from vitlab.data.vocabularies.plain import BYTES, CHARS, Bytes, Characters
from vitlab.data.vocabularies.published import Published
from vitlab.errors import UserError

LEARNED = ('bpe', 'unigram', pieces.XLNET, learned.WORDPIECE, learned.BYTE_BPE)
KINDS = (CHARS, BYTES, *LEARNED)
SAMPLE = 50_000_000  # characters that a vocabulary is learned from, at most
_FACTS = 'facts.json'  # of a run


def learn(kind: str, texts: Callable[[], Iterable[str]], vocab_size: int) -> Vocabulary:
  """The vocabulary of a text; the same text always gives the same.

  Args:
    kind: One of `KINDS`.
    texts: Gives it from the start, in parts; the kinds in `LEARNED` learn from each by itself, and
      of too long a text from every n-th.
    vocab_size: Of the kinds in `LEARNED`.

  Raises:
    UserError: the text does not give as many tokens.
  """
  if kind == BYTES:
    return Bytes()
  if kind == CHARS:
    return plain.characters(texts())
  every = -(-sum(map(len, texts())) // SAMPLE) or 1
  sample = lambda: itertools.islice(texts(), 0, None, every)  # noqa: E731
  if kind in (*pieces.KINDS, pieces.XLNET):
    lines = [line for text in sample() for line in text.split('\n') if line]
    return Pieces(pieces.train(lines, kind, vocab_size, len(lines)))
  make = dict(wordpiece=learned.wordpiece, byte_bpe=learned.byte_bpe)[kind]
  return make(sample, vocab_size)


def load(path: str) -> Vocabulary:
  """A vocabulary that there is.

  Args:
    path: The folder of a run that reads text; a folder or file of a published vocabulary (see
      `vitlab.data.vocabularies.published`); or a .model file of sentencepiece.

  Raises:
    UserError: there is none, or it is damaged.
  """
  place = pathlib.Path(path).expanduser()
  try:
    if (place / _FACTS).is_file():
      return from_text(json.loads((place / _FACTS).read_text(encoding='utf-8'))['tokenizer'])
    if published.is_one(place):
      return exported.original(published.load(place))
    if place.is_file():
      return Pieces(place.read_bytes())
    models = sorted(place.glob('*.model'))
    if len(models) == 1:
      return Pieces(models[0].read_bytes())
  except (OSError, ValueError, KeyError, TypeError):
    pass
  except UserError as error:
    raise UserError(f'{path}: {error}') from None
  raise UserError(
    f'unknown tokenizer {path!r}: give {", ".join(KINDS)}, the folder of a run that reads text,'
    '\na folder with tokenizer.json, vocab.txt or vocab.json and merges.txt, or a .model file of '
    'sentencepiece'
  )


def is_one(text: str) -> bool:
  """Whether the text of a vocabulary is that of a language model's."""
  return text.startswith('{"kind"')


def from_text(text: str) -> Vocabulary:
  """The inverse of `Vocabulary.text`; from that of a sentencepiece of translation, its pieces.

  Raises:
    UserError: it is the vocabulary of Marian, or of a later version.
  """
  if not text.startswith('{'):
    return Pieces(base64.b64decode(text))
  known = json.loads(text)
  match known.get('kind'):
    case plain.CHARS:
      return Characters(known['characters'])
    case plain.BYTES:
      return Bytes()
    case pieces.KIND:
      return Pieces(base64.b64decode(known['model']))
    case published.KIND:
      return Published(json.dumps(known['tokenizer']), known['special'])
  raise UserError('a vocabulary for translation, or of a later version of vitlab')
