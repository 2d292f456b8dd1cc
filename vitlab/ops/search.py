"""Finding sentences, given a function that says what may come next, in one of three ways.

As a spec names them, with all that it may leave out:

  dict(name='greedy')
  dict(name='beam', beams=4, length_penalty=0.6, coverage_penalty=0.0, gnmt=True,
       early_stopping='never', forced_eos=False)
  dict(name='sample', samples=1, temperature=1.0, top_k=0, top_p=1.0, seed=0)

The log-probability of a sentence is that of the model as it is, whichever way it was found: scoring
it again gives the same number.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from vitlab.errors import UserError, unknown
from vitlab.ops.beam import Coverage, Step, Take, beam
from vitlab.ops.sampling import argmax, draw, keys_of, sayable
from vitlab.ops.tokens import BOS, EOS, PAD

# name -> option -> its default, and the least and most it may be; of a word those there are.
SEARCHES = dict(
  greedy={},
  beam=dict(
    beams=(4, 1, inf),
    length_penalty=(0.6, 0, 10),
    coverage_penalty=(0.0, 0, 100),
    gnmt=(True, False, True),
    early_stopping=('never', 'never', 'false', 'true'),
    forced_eos=(False, False, True),
  ),
  sample=dict(
    samples=(1, 1, inf),
    temperature=(1.0, 1e-6, 1e6),
    top_k=(0, 0, inf),
    top_p=(1.0, 0, 1),
    seed=(0, 0, 2**32 - 1),
  ),
)
GREEDY = dict(name='greedy')

# (how many tokens there are, the next one's log-probabilities) -> which it is
Choose = Callable[[Int[Array, ''], Float[Array, 'b vocab']], Int[Array, ' b']]


class Search(NamedTuple):
  """A way to find sentences.

  Attributes:
    name: One of `SEARCHES`.
    options: All that it has.
  """

  name: str
  options: Mapping[str, Any]

  @property
  def width(self) -> int:
    """k: how many sentences it follows for each source, neighbours in the batch of `step`."""
    return self.options.get('beams', 1) * self.options.get('samples', 1)

  def find(
    self,
    step: Step,
    take: Take,
    state: PyTree,
    limit: Int[Array, ' b'],
    max_length: int,
    *,
    source: Int[Array, 'b s'],
    coverage: Coverage,
  ) -> tuple[Int[Array, 'b k t'], Float[Array, 'b k']]:
    """The k sentences, the best first, and their scores; the arguments are those of `beam`.

    From the tokens of its source, and the seed, each sentence has the key with which it is drawn.
    """
    options = dict(self.options)
    if self.name == 'beam':
      return beam(step, take, state, limit, max_length, coverage, **options)
    if self.name == 'sample':
      keys = keys_of(options.pop('seed'), source)
      return sample(step, take, state, limit, max_length, keys, **options)
    sentence, score = greedy(step, state, limit, max_length)
    return sentence[:, None], score[:, None]


def make_search(spec: Mapping[str, Any]) -> Search:
  """The search that a spec names.

  Raises:
    UserError: the name or one of the options does not exist, or is not what it can be.
  """
  given = dict(spec)
  name = given.pop('name', None)
  if name not in SEARCHES:
    raise unknown('search', str(name), SEARCHES)
  options = {}
  for key, (default, *possible) in SEARCHES[name].items():
    value = options[key] = given.pop(key, default)
    if isinstance(default, str):
      value = options[key] = str(value).lower()  # Hugging Face writes True and False
      if value not in possible:
        raise unknown(f'{key} of search {name}', value, possible)
      continue
    least, most = possible
    kind = type(default)
    kinds = (int, float) if kind is float else (kind,)
    if type(value) not in kinds or not least <= value <= most:
      raise UserError(
        f'search {name}({key}={value!r}): expected {kind.__name__} from {least} to {most}, '
        f'such as {default}'
      )
  for key in given:
    raise unknown(f'keyword of search {name}', key, SEARCHES[name])
  return Search(name, options)


def greedy(
  step: Step, state: PyTree, limit: Int[Array, ' b'], max_length: int
) -> tuple[Int[Array, 'b t'], Float[Array, ' b']]:
  """The most probable token, again and again.

  Args:
    step: What comes next.
    state: Before the first token; as step returns it.
    limit: How many tokens each sentence may have, EOS included; one that is cut off has none.
    max_length: t, at least the largest limit.

  Returns:
    The sentences, padded after their EOS, and their log-probabilities: the sum over their tokens.
  """
  return _say(step, state, limit, max_length, lambda _, each: argmax(each))


def sample(
  step: Step,
  take: Take,
  state: PyTree,
  limit: Int[Array, ' b'],
  max_length: int,
  keys: Key[Array, ' b'],
  *,
  samples: int = 1,
  temperature: float = 1.0,
  top_k: int = 0,
  top_p: float = 1.0,
) -> tuple[Int[Array, 'b k t'], Float[Array, 'b k']]:
  """k sentences, each drawn token by token, and independent of the others.

  Args:
    step: What comes next.
    take: Some rows of its state.
    state: Before the first token.
    limit: How many tokens each sentence may have, EOS included; one that is cut off has none.
    max_length: t, at least the largest limit.
    keys: One for each row: no other has an influence on what is drawn there.
    samples: k.
    temperature: As top_k and top_p, of `draw`.
    top_k: How many tokens may be drawn; 0: all.
    top_p: The probability of those that may be drawn.

  Returns:
    The sentences, the most probable first, padded after their EOS, and their log-probabilities:
    those of the model, whatever the draws were made from.
  """
  rows = jnp.repeat(jnp.arange(len(limit)), samples)
  each = jax.vmap(jax.random.fold_in)(keys[rows], jnp.arange(len(rows)) % samples)
  options = dict(temperature=temperature, top_k=top_k, top_p=top_p)

  def choose(i: Int[Array, ''], log_probability: Float[Array, 'b vocab']) -> Int[Array, ' b']:
    return draw(jax.vmap(jax.random.fold_in, (0, None))(each, i), log_probability, **options)

  sentence, score = _say(step, take(state, rows), limit[rows], max_length, choose)
  score, place = jax.lax.top_k(score.reshape(len(limit), samples), samples)
  sentence = sentence.reshape(len(limit), samples, max_length)
  return jnp.take_along_axis(sentence, place[..., None], axis=1), score


def _say(
  step: Step, state: PyTree, limit: Int[Array, ' b'], max_length: int, choose: Choose
) -> tuple[Int[Array, 'b t'], Float[Array, ' b']]:
  """Token after token, until all sentences have ended."""
  size = len(limit)

  def unfinished(carry: tuple[Any, ...]) -> Any:
    i, *_, done = carry
    return (i < max_length) & ~done.all()

  def extend(carry: tuple[Any, ...]) -> tuple[Any, ...]:
    i, state, token, tokens, score, done = carry
    logits, state = step(state, token)
    log_probability = sayable(logits)
    chosen = choose(i, log_probability).astype(token.dtype)
    token = jnp.where(done, PAD, chosen)
    gain = jnp.take_along_axis(log_probability, chosen[:, None], axis=-1)[:, 0]
    score += jnp.where(done, 0.0, gain)
    tokens = jax.lax.dynamic_update_index_in_dim(tokens, token, i, axis=1)
    return i + 1, state, token, tokens, score, done | (token == EOS) | (i + 1 >= limit)

  start = (
    jnp.zeros((), jnp.int32),
    state,
    jnp.full(size, BOS, jnp.int32),
    jnp.full((size, max_length), PAD, jnp.int32),
    jnp.zeros(size, jnp.float32),
    limit <= 0,
  )
  _, _, _, tokens, score, _ = jax.lax.while_loop(unfinished, extend, start)
  return tokens, score
