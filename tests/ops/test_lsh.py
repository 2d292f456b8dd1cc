"""LSH and local attention against loops over single tokens, reformer-pytorch, and each mistake."""

import json
import pathlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from vitlab.ops import lsh
from vitlab.ops.attention import attend

REFERENCE = pathlib.Path(__file__).parents[1] / 'references' / 'lsh_switches.json'
B, N, T, K, CHUNK, SIZES = 2, 2, 16, 4, 4, (4,)
random = np.random.default_rng(0)
QK, V = random.normal(size=(2, B, N, T, K))
ROTATIONS = random.normal(size=(N, K, 3, 2))
SEGMENTS = np.array([[1] * 9 + [2] * 4 + [0] * 3, [1] * 16])


def slow(qk, v, buckets, *, causal, segments=None, same_bucket, count_once, belief=''):
  """The same attention of one head, token by token: qk [t k], v [t v], buckets [h t]."""
  h, t = buckets.shape
  keys = qk if belief == 'keys of any length' else qk / np.sqrt((qk**2).mean(-1, keepdims=True))
  if belief != 'keys of any length':
    keys = keys / np.sqrt(K)
  lists = [[] for _ in range(t)]  # token -> one list of keys for every round
  order = np.concatenate([sorted(range(t), key=lambda i: (row[i], i)) for row in buckets])
  rounds = np.repeat(np.arange(h), t)
  chunks = len(order) // CHUNK
  for place, i in enumerate(order):
    mine = place // CHUNK
    before = (mine - 1) % chunks
    if belief == 'no wrapping':
      before = max(mine - 1, 0)
    if belief == 'wrapping in each round':
      first = mine // (t // CHUNK) * (t // CHUNK)
      before = first + (mine - 1 - first) % (t // CHUNK)
    parts = [mine] if belief == 'no chunk back' else [before, mine]
    places = [CHUNK * part + m for part in parts for m in range(CHUNK)]
    if same_bucket:
      bucket = lambda p: buckets[rounds[p], order[p]]  # noqa: E731
      places = [p for p in places if bucket(p) == bucket(place)]
    lists[i].append([(int(order[p]), p) for p in places])
  totals, mixed = np.zeros((h, t)), np.zeros((h, t, v.shape[-1]))
  for i in range(t):
    met = [j for keys_of in lists[i] for j, _ in keys_of]
    for r in range(h):
      logits = []
      for j, p in lists[i][r]:
        logit = qk[i] @ keys[j] - np.log(met.count(j) if count_once else 1)
        later = p > r * t + list(order[r * t : (r + 1) * t]).index(i)
        if causal and (later if belief == 'causal by sorted places' else j > i):
          logit = -1e9
        if segments is not None and segments[i] != segments[j]:
          logit = -1e9
        if j == i and belief != 'itself as any other':
          logit = -1e9 if belief == 'never itself' else -1e5
        logits.append(logit)
      totals[r, i] = logsumexp(logits)
      mixed[r, i] = np.exp(logits - totals[r, i]) @ v[[j for j, _ in lists[i][r]]]
  share = np.exp(totals - logsumexp(totals, axis=0))
  if belief == 'rounds count alike':
    share = np.full_like(share, 1 / h)
  return np.einsum('ht,htv->tv', share, mixed)


def slow_all(buckets, segments=None, **words):
  segments = [None] * B if segments is None else segments
  rows = [
    [slow(QK[b, n], V[b, n], buckets[b, n], segments=segments[b], **words) for n in range(N)]
    for b in range(B)
  ]
  return np.array(rows)


def buckets_of(segments=None, x=QK, rotations=ROTATIONS, sizes=SIZES):
  return jax.jit(partial(lsh.hashed, sizes=sizes))(x, rotations, segments=segments)


def fast(buckets, v=V, qk=QK, segments=None, **words):
  run = partial(lsh.lsh_attend, chunk=CHUNK, epsilon=0.0, **words)
  return jax.jit(run)(qk, v, buckets, segments=segments)


local = jax.jit(partial(lsh.local_attend, chunk=CHUNK, causal=True))
shared = jax.jit(partial(lsh.shared_attend, causal=True))
SWITCHES = {
  'as Hugging Face': (False, False),
  'same bucket': (True, False),
  'counted once': (False, True),
  'as the paper': (True, True),
}


@pytest.mark.parametrize('causal', [False, True])
@pytest.mark.parametrize('switches', SWITCHES)
def test_every_token_sees_what_loops_say(switches, causal, x64):
  same_bucket, count_once = SWITCHES[switches]
  words = dict(causal=causal, same_bucket=same_bucket, count_once=count_once)
  buckets = np.asarray(buckets_of())
  found, weights = fast(buckets, **words)
  np.testing.assert_allclose(found, slow_all(buckets, **words), atol=1e-9)
  np.testing.assert_allclose(weights @ V, found, atol=1e-9)
  others = [
    slow_all(buckets, causal=causal, same_bucket=s, count_once=c) for s, c in SWITCHES.values()
  ]
  assert sum(np.abs(found - other).max() < 1e-3 for other in others) == 1


def test_documents_and_padding_do_not_see_one_another(x64):
  segments = jnp.asarray(SEGMENTS)
  buckets = np.asarray(buckets_of(segments))
  assert (buckets[0, ..., 13:] % 5 == 4).all() and (buckets[0, ..., :13] % 5 < 4).all()
  words = dict(causal=True, same_bucket=False, count_once=False)
  found, weights = fast(buckets, segments=segments, **words)
  wanted = slow_all(buckets, SEGMENTS, **words)
  np.testing.assert_allclose(found, wanted, atol=1e-9)
  apart = SEGMENTS[0][:, None] != SEGMENTS[0]
  assert float(np.abs(weights[0, :, apart]).max()) == 0
  for op, inputs in ((local, (QK, QK, V)), (shared, (QK, V))):
    found, weights = op(*inputs, segments=segments)
    assert float(np.abs(weights[0, :, apart]).max()) == 0
    np.testing.assert_allclose(weights @ V, found, atol=1e-12)


@pytest.mark.parametrize(
  'belief',
  [
    'keys of any length',
    'no wrapping',
    'wrapping in each round',
    'no chunk back',
    'causal by sorted places',
    'itself as any other',
    'never itself',
    'rounds count alike',
  ],
)
def test_what_is_easy_to_get_wrong_is_seen(belief, x64):
  buckets = np.asarray(buckets_of())
  words = dict(causal=belief != 'no wrapping', same_bucket=False, count_once=False)
  found, _ = fast(buckets, **words)
  assert np.abs(found - slow_all(buckets, belief=belief, **words)).max() > 1e-3


@pytest.mark.parametrize(
  'case', json.loads(REFERENCE.read_text()), ids=lambda case: str(case['rounds'])
)
def test_the_switches_of_the_paper_are_those_of_reformer_pytorch(case, x64):
  qk, v = np.random.RandomState(case['rounds']).randn(2, 1, 16, 4)[:, :, None]
  buckets = buckets_of(x=qk, rotations=np.array(case['rotations']))
  run = partial(fast, buckets, v, qk * 4**-0.5, causal=case['causal'], same_bucket=True)
  # They add 1e-9 to what they count.
  found, _ = run(count_once=case['count_once'])
  np.testing.assert_allclose(found[:, 0], case['out'], atol=3e-8)
  other, _ = run(count_once=not case['count_once'])
  assert np.abs(other - found).max() > 1e-3


def test_a_hash_looks_at_directions_and_rounds_share_no_bucket():
  buckets = buckets_of()
  np.testing.assert_array_equal(buckets, buckets_of(x=3.7 * QK))
  for h in range(3):
    assert set(np.unique(buckets[:, :, h])) <= set(range(5 * h, 5 * h + 4))
  opposite = buckets_of(x=-QK)
  np.testing.assert_array_equal(np.abs(opposite - buckets), 2)


def test_two_factors_number_all_pairs_of_buckets():
  rotations = np.random.default_rng(0).normal(size=(N, K, 1, 3))
  found = buckets_of(rotations=rotations, sizes=(2, 4))
  first = buckets_of(rotations=rotations[..., :1], sizes=(2,))
  second = buckets_of(rotations=rotations[..., 1:], sizes=(4,))
  np.testing.assert_array_equal(found, first + 2 * second)


def test_no_gradient_goes_through_a_hash():
  gradient = jax.grad(lambda x: buckets_of(x=x).astype(jnp.float32).sum())(jnp.asarray(QK))
  assert not np.any(gradient)


def test_in_one_bucket_lsh_attention_is_that_of_neighbours(x64):
  """The order within a bucket is that of the text: the sort is stable."""
  buckets = jnp.zeros((B, N, 1, T), jnp.int32)
  found, _ = fast(buckets, causal=True)
  near = np.arange(T) // CHUNK
  seen = (near[:, None] - near <= 1) & (np.arange(T)[:, None] >= np.arange(T))
  bias = -1e5 * np.eye(T)[None, None]
  qk, v = jnp.asarray(QK), jnp.asarray(V)
  options = dict(mask=jnp.asarray(seen)[None, None], bias=jnp.asarray(bias), scale=1.0)
  wanted = attend(qk, lsh.unit(qk, 0.0), v, **options)
  np.testing.assert_allclose(found, wanted, atol=1e-9)
  mask = jnp.asarray(seen)[None, None]
  found, weights = local(QK, QK, V)
  np.testing.assert_allclose(found, attend(*map(jnp.asarray, (QK, QK, V)), mask=mask), atol=1e-12)
  np.testing.assert_allclose(weights @ V, found, atol=1e-12)


def test_enough_rounds_come_near_to_full_attention():
  full, _ = shared(QK, V)
  errors = []
  for rounds in (1, 4, 64):
    rotations = np.random.default_rng(1).normal(size=(N, K, rounds, 2))
    buckets = buckets_of(rotations=rotations)
    errors.append(float(np.abs(fast(buckets, causal=True, count_once=True)[0] - full).mean()))
  assert errors[0] > 2 * errors[1] > 8 * errors[2]


@pytest.mark.parametrize('same_bucket', [False, True])
def test_nothing_that_is_said_later_reaches_a_token(same_bucket):
  """Of fixed buckets no gradient does."""
  buckets = buckets_of()

  def loss(v):
    return jnp.abs(fast(buckets, v, causal=True, same_bucket=same_bucket)[0][:, :, :7]).sum()

  gradient = jax.jit(jax.grad(loss))(jnp.asarray(V))
  assert np.any(gradient[:, :, :7]) and not np.any(gradient[:, :, 7:])


@pytest.mark.parametrize(
  'length, chunk, longest, wanted',
  [(64, 4, 64, (4, 8)), (16, 4, 64, (8,)), (1024, 64, 1024, (32,)), (24, 4, 24, (8,))],
)
def test_the_number_of_buckets_follows_the_length(length, chunk, longest, wanted):
  assert lsh.default_buckets(length, chunk, longest) == wanted
