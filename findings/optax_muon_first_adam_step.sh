#!/usr/bin/env bash
# The part of Muon that is Adam steps half as far again as Adam.
# One would guess: optax.contrib.muon leaves biases and other parameters that are not 2-D to
#   Adam, whose first step is the learning rate times the sign of the gradient.
# Versions: optax 0.2.8, jax 0.10.2, numpy 2.4.6.
# Behaviour: the argument nesterov, on unless told otherwise, is handed on to that Adam too: it
#   is Nadam, and its first step is 1.4737 times the rate, (0.9 * 0.1 / (1 - 0.9 ** 2) + 0.1 /
#   (1 - 0.9) = 0.4737 + 1). With nesterov=False, which changes the orthogonalised part as well,
#   it is 1.0 times the rate.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  optax==0.2.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat > show.py <<'PY'
import jax.numpy as jnp
import optax

RATE = 0.02
params = {'kernel': jnp.eye(4), 'bias': jnp.zeros(3)}
gradient = {'kernel': jnp.eye(4), 'bias': jnp.array([1.0, -5.0, 0.3])}

def first_step(optimizer):
  updates, _ = optimizer.update(gradient, optimizer.init(params), params)
  return [round(float(u) / RATE, 3) for u in updates['bias']]

steps = {'muon': first_step(optax.contrib.muon(RATE)),
         'muon without nesterov': first_step(optax.contrib.muon(RATE, nesterov=False)),
         'adam': first_step(optax.adam(RATE)), 'nadam': first_step(optax.nadam(RATE))}
for name, step in steps.items():
  print('first step of a bias, in learning rates:', name, step)
nesterov, plain = [-1.474, 1.474, -1.474], [-1.0, 1.0, -1.0]
assert steps['muon'] == steps['nadam'] == nesterov, steps
assert steps['muon without nesterov'] == steps['adam'] == plain, steps
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: what optax 0.2.8 muon leaves to Adam moves by Nadam, 1.4737 rates at the first'
echo 'step.'
