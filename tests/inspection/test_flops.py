"""FLOPs are counted as on paper, through everything that nests."""

import jax
import jax.numpy as jnp
import pytest
from jax._src.cudnn import fused_attention_stablehlo

from vitlab.inspection import flops

X = jax.ShapeDtypeStruct((4, 8), jnp.float32)
W = jax.ShapeDtypeStruct((8, 16), jnp.float32)
SQUARE = jax.ShapeDtypeStruct((8, 8), jnp.float32)
MATMUL = 2 * 4 * 8 * 16


def test_a_matmul_is_two_flops_per_multiply_add():
  assert flops.count(jnp.matmul, X, W) == {'float32': MATMUL}


def test_a_batched_product_counts_every_item():
  q = jax.ShapeDtypeStruct((2, 3, 5, 7), jnp.bfloat16)  # b n t k
  counted = flops.count(lambda q: jnp.einsum('bntk,bnsk->bnts', q, q), q)
  assert counted == {'bfloat16': 2 * (2 * 3 * 5 * 5 * 7)}


@pytest.mark.parametrize('groups', [1, 2])
def test_a_convolution_counts_its_window_and_the_channels_of_its_group(groups):
  image = jax.ShapeDtypeStruct((2, 9, 9, 4), jnp.float32)
  kernel = jax.ShapeDtypeStruct((3, 3, 4 // groups, 6), jnp.float32)

  def convolve(image, kernel):
    return jax.lax.conv_general_dilated(
      image,
      kernel,
      (2, 2),
      'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=groups,
    )

  assert flops.count(convolve, image, kernel)['float32'] == 2 * (2 * 5 * 5 * 6) * 3 * 3 * 4 / groups


def test_a_scan_counts_every_turn_and_nesting_hides_nothing():
  @jax.custom_vjp
  def twice(x, w):
    return x @ w @ w

  twice.defvjp(lambda x, w: (twice(x, w), (x, w)), lambda saved, dy: (dy, saved[1]))

  def nested(x, w):
    def turn(x, _):
      return jax.checkpoint(lambda x: jax.jit(twice)(x, w))(x), None

    return jax.lax.scan(turn, x, None, length=5)[0]

  assert flops.count(nested, X, SQUARE)['float32'] == 5 * 2 * (2 * 4 * 8 * 8)


def test_the_products_within_a_kernel_of_cudnn_count(monkeypatch):
  """Which is traced without a GPU, but not compiled."""
  monkeypatch.setattr(fused_attention_stablehlo, 'check_cudnn_version', lambda: 92000)
  monkeypatch.setattr(fused_attention_stablehlo, 'check_compute_capability', lambda _: True)
  q, k = (jax.ShapeDtypeStruct((2, t, 3, 8), jnp.bfloat16) for t in (10, 12))

  def attend(q, k, v):
    return jax.nn.dot_product_attention(q, k, v, implementation='cudnn').sum()

  product = 2 * (2 * 3 * 10 * 12 * 8)
  assert flops.count(attend, q, k, k) == {'bfloat16': 2 * product}
  assert flops.count(jax.grad(attend, (0, 1, 2)), q, k, k) == {'bfloat16': (2 + 5) * product}


def test_what_nobody_reads_does_not_count():
  def turn(x, w):
    unread = x @ w @ w
    return x @ w, unread

  def nested(x, w):
    return jax.jit(lambda x: jax.lax.scan(lambda x, _: turn(x, w), x, None, length=5))(x)[0]

  assert flops.count(nested, X, SQUARE)['float32'] == 5 * 2 * (4 * 8 * 8)


def test_a_cond_counts_its_dearest_branch():
  def either(x, w):
    return jax.lax.cond(x[0, 0] > 0, lambda: x @ w, lambda: jnp.zeros((4, 16)))

  assert flops.count(either, X, W) == {'float32': MATMUL}


def test_training_costs_three_times_the_forward_pass():
  def loss(w1, w2, x):
    return jnp.sum(jnp.sin(jnp.sin(x @ w1) @ w2) ** 2)

  # All but the first layer: nobody asks for the gradient of the input.
  forward = flops.count(loss, SQUARE, W, X)['float32']
  train = flops.count(jax.grad(loss, argnums=(0, 1)), SQUARE, W, X)['float32']
  assert train == 3 * forward - 2 * 4 * 8 * 8
