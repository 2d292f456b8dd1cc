#!/usr/bin/env bash
# A spectral norm that shall not update still moves before it divides.
# One would guess: SpectralNorm with update_stats=False divides the kernel by the sigma that is
#   stored in batch_stats, as PyTorch does in eval mode, so a stored sigma of 3 for the kernel
#   diag(3, 1) maps (1, 0) to (1, 0).
# Versions: flax 0.12.8, jax 0.10.2, numpy 2.4.6.
# Behaviour: with update_stats=False it runs one power iteration from the stored vector u,
#   divides by the sigma of that iteration and keeps nothing; the stored sigma is never read.
#   With u = (0.0761425, -1.6157459) the answer is (2.7893, 0) whether the stored sigma is 1, 3
#   or 100.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  flax==0.12.8 orbax-checkpoint==0.12.8 optax==0.2.8 jax==0.10.2 jaxlib==0.10.2 \
  numpy==2.4.6

cat > show.py <<'PY'
import flax.linen as nn
import jax.numpy as jnp
import numpy as np

layer = nn.SpectralNorm(nn.Dense(2, use_bias=False))
kernel = np.diag([3.0, 1.0]).astype(np.float32)
u = np.array([[0.0761425, -1.6157459]], np.float32)
v = u @ kernel.T
v = v / np.linalg.norm(v)
iterated = 3.0 / np.linalg.norm(v @ kernel)
answers = []
for sigma in (1.0, 3.0, 100.0):
  variables = {'params': {'layer_instance': {'kernel': jnp.asarray(kernel)}},
               'batch_stats': {'layer_instance/kernel/u': jnp.asarray(u),
                               'layer_instance/kernel/sigma': jnp.asarray(sigma)}}
  answer = layer.apply(variables, jnp.array([[1.0, 0.0]]), update_stats=False)
  answers.append(round(float(answer[0, 0]), 3))
  print('stored sigma', sigma, 'first output', answers[-1], 'by the sigma stored', 3.0 / sigma)
print('by one more iteration from u, in NumPy:', round(float(iterated), 3))
assert answers == [2.789] * 3 and round(float(iterated), 3) == 2.789, (answers, iterated)
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: flax 0.12.8 SpectralNorm(update_stats=False) ignores the stored sigma and'
echo 'iterates once.'
