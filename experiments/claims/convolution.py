"""A convolution is a special case of self-attention: a layer whose weights are set."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import drawing
from experiments.claims.frame import Found, measured, select, values
from vitlab.layers.attention import SelfAttention

TITLE = 'A convolution is self-attention'
SENTENCE = (
  'A multi-head self-attention layer with relative positions can express any convolution: a head '
  'for each place of the kernel (Cordonnier et al. 2020, arXiv:1911.03584, theorem 1).'
)
PREDICTIONS = (
  'With weights set, not learned, the layer gives what the convolution gives, within 10⁻⁶ of its '
  'largest value, for kernels of 1×1, 3×3 and 5×5.',
  'The mistake falls as exp(-α), α being how sharply the heads look: a slope of -1 ± 0.1.',
)
METHOD = (
  "The library's own self-attention on a map of 10×10 tokens in float64: queries and keys are "
  'zero, head h is told by the bias -α·|s - t - Δₕ|² to look at the offset Δₕ, its value is the '
  'token, its output matrix the kernel at Δₕ. The convolution is that of XLA, on random pictures '
  'and kernels.'
)
GRID, CHANNELS = 10, 3
ALPHAS = (1, 2, 4, 6, 8, 10, 12, 16, 20, 25, 30)
ENOUGH = 25


def run(place):
  alphas = place.pick((4, 25), ALPHAS, ALPHAS)
  points = [
    dict(kernel=kernel, alpha=alpha, seed=seed)
    for kernel in (1, 3, 5)
    for alpha in alphas
    for seed in place.seeds
  ]
  return measured(place, points, measure)


def measure(kernel: int, alpha: float, seed: int) -> dict:
  """The largest difference, in shares of the largest number."""
  random = np.random.default_rng(seed)
  weights = random.normal(size=(kernel, kernel, CHANNELS, CHANNELS))
  picture = random.normal(size=(2, GRID, GRID, CHANNELS))
  with jax.enable_x64(True):
    # Zeros around the picture are tokens, too: a convolution sees them beyond the edge.
    edge = kernel // 2
    padded = np.pad(picture, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    attended = np.asarray(as_attention(padded, weights, alpha))
    numbers = ('NHWC', 'HWIO', 'NHWC')
    wanted = jax.lax.conv_general_dilated(
      jnp.asarray(picture), jnp.asarray(weights), (1, 1), 'SAME', dimension_numbers=numbers
    )
    inner = slice(edge, edge + GRID)
    difference = np.abs(attended[:, inner, inner] - np.asarray(wanted)).max()
    return dict(difference=float(difference / np.abs(wanted).max()))


def as_attention(x: np.ndarray, kernel: np.ndarray, alpha: float) -> jax.Array:
  """What a layer of self-attention makes of a map; far from its edges the convolution of it.

  Args:
    x: Map, b h w c.
    kernel: Of the convolution, h w c c.
    alpha: How sharply heads look.
  """
  b, h, w, c = x.shape
  side, heads = kernel.shape[0], kernel.shape[0] ** 2
  y, x_ = np.divmod(np.arange(h * w), w)
  offsets = np.stack(np.divmod(np.arange(heads), side), axis=-1) - side // 2
  there = np.stack([y, x_], -1)
  away = there[None, None] - there[None, :, None] - offsets[:, None, None]  # n t s 2
  bias = -float(alpha) * np.square(away).sum(-1)

  # Heads are as wide as tokens have channels; the tokens are padded to the width of all heads.
  width = heads * c
  qkv = np.zeros((width, 3, heads, c))
  qkv[:c, 2] = np.eye(c)[:, None]
  out = np.zeros((heads, c, width))
  out[:, :, :c] = kernel.reshape(heads, c, c)
  params = dict(
    qkv=dict(kernel=qkv, bias=np.zeros((3, heads, c))), out=dict(kernel=out, bias=np.zeros(width))
  )
  tokens = np.pad(x.reshape(b, h * w, c), ((0, 0), (0, 0), (0, width - c)))
  layer = SelfAttention(heads, dtype=jnp.float64)
  mixed, _ = layer.apply(
    dict(params=jax.tree.map(jnp.asarray, params)),
    jnp.asarray(tokens),
    bias=jnp.asarray(bias)[None],
  )
  return mixed[..., :c].reshape(b, h, w, c)


def outcome(rows):
  sharp = [row for row in rows if row['alpha'] >= ENOUGH]
  worst = {k: max(row['difference'] for row in select(sharp, kernel=k)) for k in (1, 3, 5)}
  slopes = [_slope(select(rows, kernel=kernel)) for kernel in (3, 5)]
  shown = ', '.join(f'{kernel}×{kernel}: {x:.1e}' for kernel, x in worst.items())
  return [
    Found(max(worst.values()) <= 1e-6, f'largest difference from α = {ENOUGH} on: {shown}'),
    Found(
      all(abs(slope + 1) <= 0.1 for slope in slopes),
      'slope of the logarithm by α: ' + ' and '.join(f'{slope:.3f}' for slope in slopes),
    ),
  ]


def _slope(rows) -> float:
  """Of log(difference) against alpha, between what is not yet sharp and what is rounding."""
  rows = [row for row in rows if 4 <= row['alpha'] <= 20 or row['alpha'] == ENOUGH]
  return float(
    np.polyfit([r['alpha'] for r in rows], np.log([r['difference'] for r in rows]), 1)[0]
  )


def draw(rows, figure):
  axes = figure.subplots()
  for number, kernel in enumerate(values(rows, 'kernel')):
    alphas = values(select(rows, kernel=kernel), 'alpha')
    worst = [max(r['difference'] for r in select(rows, kernel=kernel, alpha=a)) for a in alphas]
    drawing.line(axes, alphas, worst, number, f'{kernel}×{kernel}, heads: {kernel**2}')
  axes.axhline(1e-6, color=drawing.COLOURS['soft'], lw=1, ls='--')
  drawing.powers_of_ten(axes)
  axes.set(xlabel='sharpness of the heads, α')
  axes.set_ylabel('largest difference,\nshare of the largest value')
  axes.legend(title='kernel')
