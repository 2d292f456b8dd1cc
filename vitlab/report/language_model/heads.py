"""What the heads of a language model look at: measured by kind of place, and token by token."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vitlab.data.vocabularies import Row, Vocabulary
from vitlab.errors import UserError
from vitlab.lines import visible
from vitlab.ops import head_roles
from vitlab.predict.trained import Trained

HALF = '\ufffd'  # what a decoder writes for bytes that are no whole character
MOST = 128  # tokens of a text that is looked at
CLEAR = 0.1  # of a head's attention, more than by chance: enough to name the head

Look = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Roles(NamedTuple):
  """What each head attends to; roles are those of `vitlab.ops.head_roles`.

  Attributes:
    share: Of its attention, the mean over the places of texts.
    alike: The share that a head would have that looks at every place alike.
    places: How many there are.
  """

  share: Float[np.ndarray, 'layers roles n']
  alike: Float[np.ndarray, ' roles']
  places: int

  @property
  def excess(self) -> Float[np.ndarray, 'layers roles n']:
    """What a head attends to more than by chance."""
    return self.share - self.alike[:, None]

  def name(self, layer: int, head: int) -> str:
    """The role that stands out most in a head; '' where none does."""
    excess = self.excess[layer, :, head]
    best = int(np.argmax(excess))
    return list(head_roles.ROLES)[best] if excess[best] >= CLEAR else ''


class Text(NamedTuple):
  """A text and where every head looks in it.

  Attributes:
    pieces: Its tokens, as they are read.
    weights: From a token (t) to those up to it (s), of 255.
  """

  pieces: Sequence[str]
  weights: UInt8[np.ndarray, 'layers n t s']


def looker(
  trained: Trained, separates: Bool[np.ndarray, ' vocab']
) -> Callable[[Mapping[str, np.ndarray]], Look]:
  """A function of rows -> sums of shares, those by chance, how many places; weights, of 255.

  Args:
    trained: The model.
    separates: See `separators`.

  Raises:
    UserError: the model has no attention.
  """
  attention = trained.task.predict.get('attention')
  if attention is None:
    raise UserError(f'the model of {trained.workdir} has no attention to look at')

  @jax.jit
  def look(variables: Any, batch: Any) -> Any:
    layers = attention(variables, batch)
    tokens = batch['tokens'][:, :-1]
    segments = batch.get('segments', jnp.ones_like(batch['tokens']))[:, :-1]
    found = [head_roles.shares(w, tokens, jnp.asarray(separates), segments) for w in layers]
    sums, (_, alike, places) = jnp.stack([one for one, _, _ in found]), found[0]
    return sums, alike, places, jnp.round(255.0 * jnp.stack(layers, 1)).astype(jnp.uint8)

  return lambda batch: jax.tree.map(np.asarray, look(trained.variables, batch))


def roles(found: Sequence[Look]) -> Roles:
  """The means of what a `looker` says of several batches."""
  sums, alike, places = (sum(one[i].astype(np.float64) for one in found) for i in range(3))
  count = max(float(places), 1.0)
  return Roles(sums / count, alike / count, int(places))


def separators(
  vocabulary: Vocabulary, tokens: Int[np.ndarray, '*any']
) -> Bool[np.ndarray, ' vocab']:
  """Which of these tokens have neither a letter nor a digit, nor a part of one."""
  found = np.zeros(max(len(vocabulary), int(tokens.max()) + 1), bool)
  for token in np.unique(tokens).tolist():
    text = vocabulary.decode([token]) if token < len(vocabulary) else ''
    found[token] = not any(letter.isalnum() or letter == HALF for letter in text)
  return found


def written(vocabulary: Vocabulary, tokens: Row) -> list[str]:
  """Each token as it stands in the text, with its space; what cannot be seen, as Python has it."""
  found = []
  for token in map(int, tokens):
    piece = vocabulary.pieces[token] if token < len(vocabulary) else f'#{token}'
    if '▁' in piece:
      text = piece.replace('▁', ' ')
    else:
      text = vocabulary.decode([token]) if token < len(vocabulary) else ''
    found.append('\n'.join(map(visible, (text or piece).split('\n'))))
  return found


def packed(weights: UInt8[np.ndarray, 'layers n t t']) -> str:
  """Of every head, row t up to place t, one after the other: bytes as base64."""
  rows, columns = np.tril_indices(weights.shape[-1])
  return base64.b64encode(np.ascontiguousarray(weights[:, :, rows, columns])).decode()
