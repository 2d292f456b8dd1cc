#!/usr/bin/env bash
# On a CPU, jax.checkpoint saves nothing unless the layers are a scan.
# One would guess: with every layer of a network under jax.checkpoint, the compiled gradient holds
#   less memory than without, on any backend, as its program recomputes what a layer computed.
# Versions: jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6.
# Behaviour: eight layers of attention written one after the other compile to the same number of
#   matrix products (70) and the same temporary memory with and without jax.checkpoint: XLA's CPU
#   compiler drops the barrier that is to keep the second computation apart, finds it equal to the
#   first, and keeps that one's results. Under lax.scan, where the two are in different loops,
#   jax.checkpoint saves four fifths. No warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat > show.py <<'PY'
import jax
import jax.numpy as jnp

DEPTH, WIDTH, ROWS = 8, 64, 1024
kernels = jax.ShapeDtypeStruct((DEPTH, WIDTH, WIDTH), jnp.float32)
rows = jax.ShapeDtypeStruct((ROWS, WIDTH), jnp.float32)


def layer(x, kernel):
  y = x @ kernel
  return x + jax.nn.softmax(y @ y.T) @ y


def unrolled(one, kernels, x):
  for i in range(DEPTH):
    x = one(x, kernels[i])
  return x.sum()


def scanned(one, kernels, x):
  return jax.lax.scan(lambda x, kernel: (one(x, kernel), None), x, kernels)[0].sum()


def gradient_of(network, one):
  return jax.grad(lambda kernels, x: network(one, kernels, x))


found = {}
for network in (unrolled, scanned):
  for one in (layer, jax.checkpoint(layer)):
    gradient = gradient_of(network, one)
    lowered = jax.jit(gradient).lower(kernels, rows)
    compiled = lowered.compile()
    memory = compiled.memory_analysis().temp_size_in_bytes
    products = compiled.as_text().count(' dot(')
    barriers = [text.count('barrier') for text in (lowered.as_text(), compiled.as_text())]
    found[network.__name__, one is layer] = barriers, products, memory
    print(f'{network.__name__}, {"without" if one is layer else "with"} jax.checkpoint: '
          f'{memory / 2**20:.1f} MiB, {products} products, barriers: {barriers[0]} before and '
          f'{barriers[1]} after compilation')
plain, again = found['unrolled', True], found['unrolled', False]
assert again[0][0] > 0 and again[0][1] == 0 and again[1:] == plain[1:], found
assert found['scanned', False][2] < 0.3 * found['scanned', True][2], found
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: jaxlib 0.10.2 on a CPU undoes jax.checkpoint of unrolled layers.'
