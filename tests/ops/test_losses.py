"""Losses against float64 NumPy, with their gradients, at ordinary and at huge logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_expit, log_softmax, softmax

from vitlab.ops import losses

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 4)).astype(np.float32)
TARGETS = RNG.dirichlet(np.ones(4), size=5).astype(np.float32)
MASK = np.array([True, True, False, True, False])


def softmax_reference(z, y):
  return -(y * log_softmax(z, axis=-1)).sum(-1), y.sum(-1, keepdims=True) * softmax(z, -1) - y


def sigmoid_reference(z, y):
  loss = -(y * log_expit(z) + (1 - y) * log_expit(-z)).mean(-1)
  return loss, (expit(z) - y) / z.shape[-1]


CASES = {
  'softmax': (losses.softmax_cross_entropy, softmax_reference),
  'sigmoid': (losses.sigmoid_cross_entropy, sigmoid_reference),
}


@pytest.fixture(params=CASES)
def case(request):
  return CASES[request.param]


def gradient(function, logits, *args, **kw):
  return jax.grad(lambda z: function(z, *args, **kw).sum())(logits)


@pytest.mark.parametrize('scale', [1.0, 1e4, 1e30])
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_value_and_gradient(case, scale, smoothing):
  function, reference = case
  logits = jnp.asarray(LOGITS * np.float32(scale))
  targets = jnp.asarray(TARGETS)
  smooth = TARGETS.astype(np.float64) * (1 - smoothing) + smoothing / 4
  loss, slope = reference(np.asarray(logits, np.float64), smooth)
  got = function(logits, targets, label_smoothing=smoothing)
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, loss, rtol=1e-5)
  np.testing.assert_allclose(
    gradient(function, logits, targets, label_smoothing=smoothing), slope, atol=1e-6
  )


def test_sure_and_right_costs_nothing(case):
  logits = jnp.where(jnp.eye(4, dtype=bool), 1e30, -1e30)
  np.testing.assert_array_equal(case[0](logits, jnp.eye(4)), 0)


def test_targets_need_not_sum_to_one():
  logits, targets = jnp.asarray(LOGITS), jnp.asarray(TARGETS)
  half = losses.softmax_cross_entropy(logits, 0.5 * targets)
  np.testing.assert_allclose(2 * half, losses.softmax_cross_entropy(logits, targets), rtol=1e-6)


def test_half_precision_logits_are_reduced_in_float32(case):
  logits = jnp.asarray(np.random.default_rng(2).normal(size=(3, 4)), jnp.bfloat16)
  targets = jnp.eye(4, dtype=jnp.bfloat16)[:3]
  got = case[0](logits, targets)
  assert got.dtype == jnp.float32
  np.testing.assert_array_equal(got, case[0](logits.astype(jnp.float32), jnp.eye(4)[:3]))


@pytest.mark.parametrize('junk', [np.nan, np.inf, 1e38])
def test_what_is_masked_reaches_neither_value_nor_gradient(case, junk):
  mask = jnp.asarray(MASK)
  logits = jnp.where(mask[:, None], LOGITS, junk)
  targets = jnp.where(mask[:, None], TARGETS, junk)
  loss, expected = (
    case[0](logits, targets, mask=mask),
    case[0](jnp.asarray(LOGITS), jnp.asarray(TARGETS)),
  )
  np.testing.assert_array_equal(loss, np.where(MASK, expected, 0))
  slope = gradient(case[0], logits, targets, mask=mask)
  plain = gradient(case[0], jnp.asarray(LOGITS), jnp.asarray(TARGETS))
  np.testing.assert_array_equal(slope, np.where(MASK[:, None], plain, 0))


def test_nan_that_counts_is_not_hidden(case):
  logits = jnp.asarray(LOGITS).at[1, 2].set(jnp.nan)
  loss = case[0](logits, jnp.asarray(TARGETS), mask=jnp.asarray(MASK))
  assert np.isnan(loss).tolist() == [False, True, False, False, False]


def test_sequences_are_rows_too(case):
  logits, targets = (jnp.asarray(x).reshape(5, 1, 4) for x in (LOGITS, TARGETS))
  mask = jnp.asarray(MASK)
  long = case[0](logits, targets, mask=mask[:, None])
  np.testing.assert_array_equal(long[:, 0], case[0](logits[:, 0], targets[:, 0], mask=mask))


@pytest.mark.parametrize('scale', [1.0, 1e4, 1e30])
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_tokens_are_one_hot_targets(smoothing, scale):
  """Value and gradient of the one are those of the other, masked junk included."""
  targets, options = (
    jnp.array([3, 0, 1, 1, 2]),
    dict(mask=jnp.asarray(MASK), label_smoothing=smoothing),
  )
  logits = jnp.where(options['mask'][:, None], LOGITS * np.float32(scale), np.nan)
  both = [
    (losses.token_cross_entropy, targets),
    (losses.softmax_cross_entropy, jax.nn.one_hot(targets, 4)),
  ]
  values, gradients = zip(
    *((f(logits, y, **options), gradient(f, logits, y, **options)) for f, y in both)
  )
  np.testing.assert_allclose(*values, rtol=1e-6)
  np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-7)


def test_tokens_need_no_mask_and_hide_no_nan():
  logits, targets = jnp.asarray(LOGITS).at[1, 2].set(jnp.nan), jnp.array([3, 0, 1, 1, 2])
  loss = losses.token_cross_entropy(logits, targets)
  np.testing.assert_allclose(loss, losses.softmax_cross_entropy(logits, jax.nn.one_hot(targets, 4)))
  assert np.isnan(loss).tolist() == [False, True, False, False, False]


def test_masked_mean():
  values = jnp.asarray([1.0, 2.0, np.nan, 6.0])
  mean, count = losses.masked_mean(values, jnp.asarray([True, True, False, True]))
  assert (float(mean), float(count)) == (3.0, 3.0)
  mean, count = losses.masked_mean(values, jnp.zeros(4, bool))
  assert (float(mean), float(count)) == (0.0, 0.0)


def test_smooth_labels():
  smooth = losses.smooth_labels(jnp.eye(4)[:1], 0.2)
  np.testing.assert_allclose(smooth, [[0.85, 0.05, 0.05, 0.05]], rtol=1e-6)


@pytest.mark.parametrize('scale', [1.0, 1e4])
@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_divergence_from_a_teacher(scale, temperature):
  # Of every row another class: agreement at this scale is less than a float32 can hold.
  teacher = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32) * np.float32(scale)
  p, q = (
    log_softmax(np.asarray(z, np.float64) / temperature, axis=-1) for z in (teacher, LOGITS * scale)
  )
  function = lambda z, mask=None: losses.kl_divergence(  # noqa: E731
    z, jnp.asarray(teacher), mask=mask, temperature=temperature
  )
  logits = jnp.asarray(LOGITS * np.float32(scale))
  expected = temperature**2 * (np.exp(p) * (p - q)).sum(-1)
  np.testing.assert_allclose(function(logits), expected, rtol=1e-4)
  slope = temperature * (np.exp(q) - np.exp(p))
  np.testing.assert_allclose(gradient(function, logits), slope, atol=1e-5)
  mask = jnp.asarray(MASK)
  padded = jnp.where(mask[:, None], logits, jnp.nan)
  np.testing.assert_allclose(function(padded, mask), np.where(MASK, expected, 0), rtol=1e-4)
  masked = gradient(lambda z: function(z, mask), padded)
  np.testing.assert_allclose(masked, np.where(MASK[:, None], slope, 0), atol=1e-5)


def test_a_student_that_agrees_diverges_by_nothing():
  np.testing.assert_array_equal(losses.kl_divergence(jnp.asarray(LOGITS), jnp.asarray(LOGITS)), 0)


def test_binary_cross_entropy_and_its_slope(x64):
  logits = jnp.array([-800.0, -3.0, -1e-9, 0.0, 2.0, 40.0, 800.0])
  for label in (0, 1):
    wanted = jnp.logaddexp(0.0, logits) - label * logits
    np.testing.assert_allclose(
      losses.binary_cross_entropy(logits, label), wanted, rtol=1e-12, atol=1e-15
    )
    slope = jax.grad(lambda z, y=label: losses.binary_cross_entropy(z, y).sum())(logits)
    np.testing.assert_allclose(slope, jax.nn.sigmoid(logits) - label, atol=1e-15)
  mixed = losses.binary_cross_entropy(jnp.stack([logits] * 2), jnp.array([[0], [1]]))
  np.testing.assert_array_equal(mixed[1], losses.binary_cross_entropy(logits, 1))
