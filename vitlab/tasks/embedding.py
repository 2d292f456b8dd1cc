"""Words as vectors, learned from which words stand near which: skip-gram and CBOW.

arXiv:1301.3781 and 1310.4546. A batch holds running text, `tokens` (int32, b t), and its windows,
`window` (int32, b t 2): how many words to the left and to the right of each are its context, none
for what is not text. So a row of text is looked up once and not once per pair, and all pairs of a
few words are one matrix product, as are those with the negatives that a row shares
(arXiv:1604.04661).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError, unknown
from vitlab.ops import losses
from vitlab.ops.huffman import huffman
from vitlab.ops.matmul import matmul
from vitlab.tasks import Assumed, Batch, Key, Loss, Task, Variables

UNIT = 'rows of text'
PREDICTORS = ('skip_gram', 'cbow')
OUTPUTS = ('negative', 'hierarchical')
BLOCK = 32  # words whose pairs are one matrix product


class Pairs(NamedTuple):
  """Who predicts which words, in blocks of neighbours.

  Attributes:
    predictors: Words whose vectors predict, or, of CBOW, whose means do.
    means: Of CBOW, the contexts of each centre; of skip-gram None: each predictor is by itself.
    targets: Words that may be predicted.
    mask: Which predictor predicts which of them.
  """

  predictors: Int[Array, 'b blocks s']
  means: Bool[Array, 'b blocks c s'] | None
  targets: Int[Array, 'b blocks o']
  mask: Bool[Array, 'b blocks c o']


def make(
  model: nn.Module,
  counts: Sequence[int] | None = None,
  window: int | None = None,
  predictor: str = 'skip_gram',
  output: str = 'negative',
  negatives: int = 5,
  shared: int = 64,
  power: float = 0.75,
) -> Task:
  """Builds the task around a model with two tables of vectors.

  Args:
    model: `module(words, targets) -> (their vectors, those that they are predicted by)`, and
      `vectors(words)`. Targets are words, or inner nodes of the tree of words.
    counts: How often each word occurs; a fact of the data. Without them nothing can be learned.
    window: The most words on each side that are context; a fact of the data.
    predictor: 'skip_gram': a word predicts each of its contexts; 'cbow': their mean predicts it.
    output: 'negative' sampling, or the 'hierarchical' softmax over a Huffman tree.
    negatives: For each pair: so often a word that was drawn counts as one that is not there.
    shared: Number of words that are drawn for a row of text; each of its pairs sees all of them, at
      the weight that makes them `negatives`. More are less noise, and more work.
    power: Of the counts, in proportion to which negatives are drawn.

  Raises:
    UserError: a name or a number that is not possible.
  """
  _check(predictor, output, negatives, shared)
  negative = counts is not None and output == 'negative'
  loss_of = _negative(counts, power, negatives, shared) if negative else _hierarchical(counts)

  def init(key: Key, batch: Batch) -> Variables:
    return {'model': model.init({'params': key}, batch['tokens'], batch['tokens'])}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    if counts is None or window is None:
      raise UserError('task embedding: it learns from data with counts of words and a window')
    pairs = _pairs(batch, window, predictor)

    def look_up(targets: Int[Array, 'b t']) -> tuple[Float[Array, 'b blocks c d'], Any]:
      words, found = model.apply(variables['model'], pairs.predictors, targets)
      return (words if pairs.means is None else _mean(words, pairs.means)), found

    total = loss_of(look_up, pairs, key)
    count = jnp.sum(pairs.mask.any(-1), dtype=jnp.float32)
    value = total / jnp.maximum(count, 1.0)
    return Loss(value, {'loss': (total, count)}, {'model': {}}, weight=count)

  def features(variables: Variables, batch: Batch) -> Float[Array, '*b d']:
    return model.apply(variables['model'], batch['tokens'], method='vectors')

  return Task(init, {'model': training_loss}, dict(features=features))


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of any data set of this kind, all zero: a row of text and its windows."""
  del facts
  return dict(tokens=np.zeros(BLOCK, np.int32), window=np.zeros((BLOCK, 2), np.int32))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of text that is not here: max_words, all of them found once, and window."""
  del model
  if not data.get('max_words') or not data.get('window'):
    return None
  words = data['max_words']
  facts = dict(vocab_size=words, counts=[1] * words, window=data['window'])
  return Assumed(facts, example(facts))


def _check(predictor: str, output: str, negatives: int, shared: int) -> None:
  if predictor not in PREDICTORS:
    raise unknown('predictor of embedding', str(predictor), PREDICTORS)
  if output not in OUTPUTS:
    raise unknown('output of embedding', str(output), OUTPUTS)
  if negatives < 1 or shared < 1:
    raise UserError(f'embedding(negatives={negatives}, shared={shared}): expected numbers >= 1')


def _pairs(batch: Batch, window: int, predictor: str) -> Pairs:
  """All pairs of a centre and a context, in blocks of centres and what their windows reach."""
  tokens, reach = batch['tokens'], batch['window']
  if 'mask' in batch:
    reach = jnp.where(batch['mask'][:, None, None], reach, 0)
  rows, length = tokens.shape
  blocks = -(-length // BLOCK)
  padding = blocks * BLOCK - length
  padded = jnp.pad(tokens, [(0, 0), (window, window + padding)])
  places = jnp.arange(blocks)[:, None] * BLOCK + jnp.arange(BLOCK + 2 * window)
  contexts = padded[:, places]
  centres = contexts[:, :, window : window + BLOCK]
  reach = jnp.pad(reach, [(0, 0), (0, padding), (0, 0)]).reshape(rows, blocks, BLOCK, 1, 2)
  offset = jnp.arange(BLOCK + 2 * window) - window - jnp.arange(BLOCK)[:, None]
  mask = (-offset <= reach[..., 0]) & (offset <= reach[..., 1]) & (offset != 0)
  if predictor == 'skip_gram':
    return Pairs(centres, None, contexts, mask)
  has_context = mask.any(-1, keepdims=True) & jnp.eye(BLOCK, dtype=bool)
  return Pairs(contexts, mask, centres, has_context)


def _mean(
  words: Float[Array, 'b blocks s d'], contexts: Bool[Array, 'b blocks c s']
) -> Float[Array, 'b blocks c d']:
  """The mean of the contexts of each centre.

  Every word of it gets the whole error, not its share: so do word2vec.c and gensim.
  """
  total = matmul(contexts.astype(words.dtype), words)
  mean = total / jnp.maximum(contexts.sum(-1, keepdims=True), 1)
  return total + jax.lax.stop_gradient(mean - total)


def _negative(counts: Sequence[int], power: float, negatives: int, shared: int) -> Callable:
  """Negative sampling: a pair that is there against some that are drawn (1310.4546, equation 4)."""
  weights = np.asarray(counts, np.float64) ** power
  below = (np.cumsum(weights)[:-1] / weights.sum()).astype(np.float32)

  def total(look_up: Callable, pairs: Pairs, key: Key) -> Float[Array, '']:
    rows, blocks, width = pairs.targets.shape
    noise = jnp.searchsorted(below, jax.random.uniform(key, (rows, shared)))
    # Looked up at once: the gradient of each look-up is as large as the table.
    words, found = look_up(jnp.concatenate([pairs.targets.reshape(rows, -1), noise], axis=1))
    right, wrong = jnp.split(found, [blocks * width], axis=1)
    there = losses.binary_cross_entropy(matmul(words, right.reshape(rows, blocks, width, -1).mT), 1)
    absent = losses.binary_cross_entropy(
      matmul(words.reshape(rows, -1, words.shape[-1]), wrong.mT), 0
    )
    # A word that was drawn is no negative of the pair of which it is the target.
    differs = pairs.targets[..., None] != noise[:, None, None]
    times = matmul(pairs.mask.astype(words.dtype), differs.astype(words.dtype))
    wrongly = jnp.sum(absent.reshape(times.shape) * times) * (negatives / shared)
    return jnp.sum(there * pairs.mask) + wrongly

  return total


def _hierarchical(counts: Sequence[int] | None) -> Callable:
  """A softmax as the decisions on the way through a tree of words (1310.4546, equation 3)."""
  tree = huffman(counts or ())

  def total(look_up: Callable, pairs: Pairs, key: Key) -> Float[Array, '']:
    del key
    rows, blocks, width = pairs.targets.shape
    nodes, codes, inside = (jnp.asarray(part)[pairs.targets] for part in tree)
    words, found = look_up(nodes.reshape(rows, -1))
    found = found.reshape(rows, blocks, -1, found.shape[-1])
    logits = matmul(words, found.mT).reshape(rows, blocks, -1, width, nodes.shape[-1])
    ways = losses.binary_cross_entropy(logits, 1 - codes[:, :, None])
    return jnp.sum(ways * (pairs.mask[..., None] & inside[:, :, None]))

  return total
