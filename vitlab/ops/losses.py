"""Losses per example, in float32 whatever the logits' type, with soft targets and masks.

A loss returns one number per example and zero where the mask is False; `masked_mean` turns them
into the mean over what counts. What lies under the mask reaches neither value nor gradient, not
even as NaN.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from vitlab.ops.precision import wide


def smooth_labels(
  targets: Float[Array, '*b classes'], label_smoothing: float
) -> Float[Array, '*b classes']:
  """Moves the fraction `label_smoothing` of each target to all classes alike.

  `(1 - e) y + e / classes`: Szegedy et al. 2016 (arXiv:1512.00567), section 7.
  """
  return (1.0 - label_smoothing) * targets + label_smoothing / targets.shape[-1]


def softmax_cross_entropy(
  logits: Float[Array, '*b classes'],
  targets: Float[Array, '*b classes'],
  *,
  mask: Bool[Array, '*b'] | None = None,
  label_smoothing: float = 0.0,
) -> Float[Array, '*b']:
  """`-sum_c y_c log softmax(z)_c` of each example; targets need not sum to one."""
  logits, targets = _prepare(logits, targets, mask, label_smoothing)
  return _masked(-jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1), mask)


def token_cross_entropy(
  logits: Float[Array, '*b vocab'],
  targets: Int[Array, '*b'],
  *,
  mask: Bool[Array, '*b'] | None = None,
  label_smoothing: float = 0.0,
) -> Float[Array, '*b']:
  """`softmax_cross_entropy` with the one right class as a number: of a large vocabulary."""
  mask = jnp.ones(targets.shape, bool) if mask is None else mask
  return _token_loss(label_smoothing, logits.astype(jnp.float32), targets, mask)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _token_loss(label_smoothing, logits, targets, mask):
  return _token_loss_forward(label_smoothing, logits, targets, mask)[0]


def _token_loss_forward(label_smoothing, logits, targets, mask):
  """log sum_c exp(z_c) - (1 - e) z_y - e mean_c z_c, all z less the largest: none is too large.

  Fewer passes over the vocabulary than log softmax and its gradient take, and one array less.
  """
  largest = jnp.max(logits, axis=-1, keepdims=True)
  parts = jnp.exp(logits - largest)
  total = jnp.sum(parts, axis=-1)
  right = jnp.take_along_axis(logits, targets[..., None], axis=-1) - largest
  value = jnp.log(total) - (1.0 - label_smoothing) * right[..., 0]
  if label_smoothing:
    value -= label_smoothing * jnp.mean(logits - largest, axis=-1)
  return _masked(value, mask), (parts, total, targets, mask)


def _token_loss_backward(label_smoothing, residuals, gradient):
  """softmax(z) - smoothed targets, in one pass over the vocabulary."""
  parts, total, targets, mask = residuals
  vocab = parts.shape[-1]
  right = jnp.arange(vocab) == targets[..., None]
  slope = parts / total[..., None] - (1.0 - label_smoothing) * right - label_smoothing / vocab
  return jnp.where(mask[..., None], gradient[..., None] * slope, 0.0), None, None


_token_loss.defvjp(_token_loss_forward, _token_loss_backward)


def sigmoid_cross_entropy(
  logits: Float[Array, '*b classes'],
  targets: Float[Array, '*b classes'],
  *,
  mask: Bool[Array, '*b'] | None = None,
  label_smoothing: float = 0.0,
) -> Float[Array, '*b']:
  """Binary cross-entropy of each example, the mean over its classes.

  The scale of DeiT III (arXiv:2204.07118); big_vision sums over the classes instead, which is
  `classes` times as much.
  """
  logits, targets = _prepare(logits, targets, mask, label_smoothing)
  # y log s(z) + (1 - y) log s(-z) with log s(-z) = log s(z) - z: one logarithm instead of two
  return _masked(jnp.mean((1.0 - targets) * logits - jax.nn.log_sigmoid(logits), axis=-1), mask)


def kl_divergence(
  logits: Float[Array, '*b classes'],
  target_logits: Float[Array, '*b classes'],
  *,
  mask: Bool[Array, '*b'] | None = None,
  temperature: float = 1.0,
) -> Float[Array, '*b']:
  """`τ² sum_c p_c (log p_c - log q_c)` of each example, p = softmax(targets / τ), q of the logits.

  τ² keeps the gradient's size whatever the temperature (Hinton et al. 2015, arXiv:1503.02531).
  """
  logits, targets = _prepare(logits, target_logits, mask, 0.0)
  log_q = jax.nn.log_softmax(logits / temperature)
  log_p = jax.nn.log_softmax(targets / temperature)
  return _masked(temperature**2 * jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1), mask)


@jax.custom_vjp
def binary_cross_entropy(
  logits: Float[Array, '*b'], labels: Shaped[Array, '*b2'] | int
) -> Float[Array, '*b']:
  """`-y log s(z) - (1 - y) log (1 - s(z))` of each logit, its slope from the same exponential.

  Args:
    logits: z.
    labels: y, 0 or 1, for all logits alike or for each.
  """
  return _binary(logits, labels)[0]


def _binary(logits, labels):
  small = jnp.exp(-jnp.abs(logits))
  value = jnp.maximum(logits, 0.0) - logits * labels + jnp.log1p(small)
  return value, jnp.where(logits >= 0, 1.0, small) / (1.0 + small) - labels


binary_cross_entropy.defvjp(_binary, lambda slope, gradient: (gradient * slope, None))


def sigmoid_focal_loss(
  logits: Float[Array, '*b'],
  targets: Float[Array, '*b'],
  *,
  alpha: float = 0.25,
  gamma: float = 2.0,
) -> Float[Array, '*b']:
  """Binary cross-entropy of each logit, less where it is right already.

  `-a_t (1 - p_t)^gamma log p_t` with p_t the probability of what is there (Lin et al. 2017,
  arXiv:1708.02002, equation 5).

  Args:
    logits: One for each place and class.
    targets: 1 where there is such an object, else 0; also between.
    alpha: Weight of what is there; 1 - alpha of what is not.
    gamma: Power of what is missing to certainty.
  """
  logits, targets = wide(logits), wide(targets)
  probability = jax.nn.sigmoid(logits)
  missing = probability * (1.0 - targets) + (1.0 - probability) * targets
  weight = alpha * targets + (1.0 - alpha) * (1.0 - targets)
  entropy = (1.0 - targets) * logits - jax.nn.log_sigmoid(logits)
  return weight * missing**gamma * entropy


def smooth_l1(
  values: Float[Array, '*b'], targets: Float[Array, '*b'], beta: float = 1.0
) -> Float[Array, '*b']:
  """|d| - beta / 2 of each difference d, and d² / (2 beta) where |d| is below beta.

  Girshick 2015 (arXiv:1504.08083), equation 3, where beta is 1.
  """
  difference = jnp.abs(wide(values) - wide(targets))
  return jnp.where(difference < beta, 0.5 / beta * difference**2, difference - 0.5 * beta)


def masked_mean(
  values: Float[Array, '*b'], mask: Bool[Array, '*b']
) -> tuple[Float[Array, ''], Float[Array, '']]:
  """The mean over what the mask keeps, and how many that are; 0 where nothing is kept."""
  count = jnp.sum(mask, dtype=jnp.float32)
  return jnp.sum(_masked(values, mask)) / jnp.maximum(count, 1.0), count


def _prepare(logits, targets, mask, label_smoothing):
  return _readable(logits, mask), smooth_labels(_readable(targets, mask), label_smoothing)


def _readable(rows, mask):
  """In float32, zero where masked: else 0 * inf = NaN stays in the gradient of a masked loss."""
  rows = rows.astype(jnp.float32)
  return rows if mask is None else jnp.where(mask[..., None], rows, 0.0)


def _masked(values, mask):
  return values if mask is None else jnp.where(mask, values, 0.0)
