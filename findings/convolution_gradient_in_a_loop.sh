#!/usr/bin/env bash
# On a CPU, a convolution's gradient takes far longer inside a loop than outside, its result does not.
# One would guess: what jax compiles takes about as long in the body of lax.map or lax.scan as
#   outside, as matrix products and the convolution itself do; accumulating gradients over
#   microbatches costs a few per cent.
# Versions: jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6.
# Behaviour: the two gradients of a 3x3 convolution are convolutions whose axes come in another
#   order. Outside loops XLA's CPU compiler brings them into the order for which it has fast code; in
#   the body of a loop it leaves them, and computes them tens of times as slowly (here: at least
#   eight times). Nothing says so. The same gradients, written with transpositions as convolutions
#   in the first order, are as fast in the loop as outside.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat > show.py <<'PY'
import time

import jax
import jax.numpy as jnp

AXES = ('NHWC', 'HWIO', 'NHWC')
x = jax.random.normal(jax.random.key(0), (2, 16, 28, 28, 32))
dy = jax.random.normal(jax.random.key(1), x.shape)
kernel = jax.random.normal(jax.random.key(2), (3, 3, 32, 32))


def convolve(x, kernel):
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=AXES)


def forward(x, dy):
  return convolve(x, kernel)


def of_kernel(x, dy):
  return jax.vjp(lambda kernel: convolve(x, kernel), kernel)[1](dy)[0]


def of_input(x, dy):
  return jax.vjp(lambda x: convolve(x, kernel), x)[1](dy)[0]


def of_kernel_in_order(x, dy):
  x, dy = x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)
  pads = ((1, 1), (1, 1))
  found = jax.lax.conv_general_dilated(x, dy, (1, 1), pads, dimension_numbers=AXES)
  return found.transpose(1, 2, 0, 3)


def seconds(function):
  compiled = jax.jit(function).lower(x, dy).compile()
  taken = []
  for _ in range(6):
    start = time.perf_counter()
    result = jax.block_until_ready(compiled(x, dy))
    taken.append(time.perf_counter() - start)
  return min(taken), result


ratio = {}
for function in (forward, of_input, of_kernel, of_kernel_in_order):
  outside, one = seconds(lambda x, dy: jnp.stack([function(x[i], dy[i]) for i in (0, 1)]))
  inside, two = seconds(lambda x, dy: jax.lax.map(lambda pair: function(*pair), (x, dy)))
  assert jnp.allclose(one, two, rtol=1e-4, atol=1e-2)
  ratio[function.__name__] = inside / outside
  print(f'{function.__name__:20s} outside {1e3 * outside:6.1f} ms, in a loop {1e3 * inside:6.1f} ms')
assert jnp.allclose(of_kernel(x[0], dy[0]), of_kernel_in_order(x[0], dy[0]), rtol=1e-4, atol=1e-2)
assert min(ratio['of_input'], ratio['of_kernel']) > 8, ratio
assert max(ratio['forward'], ratio['of_kernel_in_order']) < 4, ratio
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: jaxlib 0.10.2 runs the gradients of a convolution slowly in a loop on a CPU.'
