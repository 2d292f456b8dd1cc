"""C4: what attention costs as texts and pictures grow."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import drawing
from experiments.claims.frame import Found, exponent, measured, select, values
from vitlab.ops.attention import attend
from vitlab.ops.lsh import default_buckets, hashed, local_attend, lsh_attend
from vitlab.ops.windows import partition

TITLE = 'Attention is quadratic'
SENTENCE = (
  'Time and memory of self-attention grow with the square of the length; attention within '
  'windows (Swin) and by hashing (Reformer) grow no faster than the length.'
)
PREDICTIONS = (
  'Full attention as the formula has it: time and memory grow with at least the power 1.8.',
  'Full attention, some queries at a time: time grows so too, memory with at most the power 1.25.',
  'Windows of a text, windows of a map and hashing: with at most the power 1.25.',
  'Hashing, which works more for each token, is faster than full attention from 4,096 tokens on.',
)
METHOD = (
  'The gradient of one attention, 4 heads of 32, one row: memory is what the compiled program '
  'needs beside inputs and gradients, time the shortest of three times up to five steps (above '
  'it the longest of the three); powers are those of the last three lengths.'
)
KINDS = {
  'formula': 'full, all weights at once',
  'full': 'full, some queries at a time',
  'text windows': 'windows of a text, 64 tokens',
  'map windows': 'windows of a map, 8×8',
  'hashing': 'hashing, 4 rounds, chunks of 64',
}
FULL = ('formula', 'full')
HEADS, WIDTH, CHUNK, ROUNDS, SIDE = 4, 32, 64, 4, 8


def run(place):
  lengths = [2**n for n in range(*place.pick((7, 9), (8, 14), (8, 15)))]
  points = [dict(kind=kind, length=length) for kind in KINDS for length in lengths]
  return measured(place, points, measure)


def measure(kind: str, length: int) -> dict:
  """Megabytes, and seconds of each of three repetitions."""
  shape = (1, HEADS, length, WIDTH)
  qkv = tuple(jax.random.normal(jax.random.key(i), shape) for i in range(3))

  def loss(qkv):
    return jnp.square(attention(kind, *qkv)).sum()

  step = jax.jit(jax.grad(loss)).lower(qkv).compile()
  jax.block_until_ready(step(qkv))
  megabytes = step.memory_analysis().temp_size_in_bytes / 1e6
  return dict(megabytes=megabytes, seconds=times(step, qkv))


def attention(kind: str, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
  """One of the `KINDS`, of b n t k."""
  b, n, t, width = q.shape
  if kind == 'formula':
    return jax.nn.softmax(q @ k.mT / np.sqrt(width)) @ v
  if kind == 'text windows':
    return local_attend(q, k, v, CHUNK)[0]
  if kind == 'hashing':
    sizes = default_buckets(t, CHUNK, t)
    rotations = jax.random.normal(jax.random.key(9), (n, width, ROUNDS, sum(sizes) // 2))
    return lsh_attend(q, v, hashed(q, rotations, sizes), CHUNK)[0]
  if kind == 'map windows':
    height = 2 ** (t.bit_length() // 2)

    def cut(x):  # b n t k -> (b n) g window k: a window is a row of the batch
      return partition(x.reshape(b * n, height, t // height, width), SIDE)

    return attend(cut(q), cut(k), cut(v))
  return attend(q, k, v)


def times(step, *inputs) -> list[float]:
  """Seconds of the shortest of up to five calls, as many as fit into a second; three times."""

  def shortest() -> float:
    found = []
    while len(found) < 5 and sum(found) < 1:
      start = time.perf_counter()
      jax.block_until_ready(step(*inputs))
      found.append(time.perf_counter() - start)
    return min(found)

  return [shortest() for _ in range(3)]


def outcome(rows):
  powers = {
    kind: (_power(rows, kind, 'seconds'), _power(rows, kind, 'megabytes')) for kind in KINDS
  }
  shown = {kind: f'{kind} {time:.2f} and {memory:.2f}' for kind, (time, memory) in powers.items()}
  others = [kind for kind in KINDS if kind not in FULL]
  seconds = {kind: dict(_curve(rows, kind, 'seconds')) for kind in ('full', 'hashing')}
  ahead = [n for n in seconds['full'] if seconds['hashing'][n] < seconds['full'][n]]
  behind = [n for n in seconds['full'] if n not in ahead]
  first = min((n for n in ahead if n > max(behind, default=0)), default=None)
  last = max(seconds['full'])
  return [
    Found(min(powers['formula']) >= 1.8, f'powers of time and memory: {shown["formula"]}'),
    Found(powers['full'][0] >= 1.8 and powers['full'][1] <= 1.25, shown['full']),
    Found(
      max(max(powers[kind]) for kind in others) <= 1.25, '; '.join(shown[kind] for kind in others)
    ),
    Found(
      first is not None and first <= 4096,
      f'at {last:,} tokens full attention takes {seconds["full"][last]:.3f} s, hashing '
      f'{seconds["hashing"][last]:.3f} s; '
      + (f'hashing is ahead from {first:,} on' if first else 'hashing is never ahead to stay'),
    ),
  ]


def _curve(rows, kind, what):
  """(length, number)s; of times the shortest, for all that disturbs makes them longer."""
  return [(row['length'], np.min(row[what])) for row in select(rows, kind=kind)]


def _power(rows, kind, what) -> float:
  return exponent(*zip(*_curve(rows, kind, what)))


def draw(rows, figure):
  both = figure.subplots(1, 2)
  for axes, what, name in zip(both, ('seconds', 'megabytes'), ('time, s', 'memory, MB')):
    for number, kind in enumerate(values(rows, 'kind')):
      mine = select(rows, kind=kind)
      lengths = [row['length'] for row in mine]
      drawing.line(axes, lengths, [row[what] for row in mine], number, KINDS[kind])
    axes.set(xlabel='length, tokens', ylabel=name)
    drawing.by_length(axes, lengths)
  handles, labels = both[0].get_legend_handles_labels()
  figure.legend(handles, labels, loc='outside upper center', ncols=2)
