#!/usr/bin/env bash
# Whether a wrong shape is refused at restoring depends on what kind of array was saved.
# One would guess: restoring a checkpoint into an abstract tree of another shape raises an
#   error, or pads and truncates; it never returns an array of a shape that was not asked for.
# Versions: orbax-checkpoint 0.12.8, jax 0.10.2, numpy 2.4.6.
# Behaviour: four numbers saved as a jax.Array and asked for as ShapeDtypeStruct((8,)) or
#   ((3,)): ValueError. The same four saved as a NumPy array: four come back, for both requests,
#   without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat > show.py <<'PY'
import os

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

answers = {}
with ocp.StandardCheckpointer() as checkpointer:
  for kind, value in (('numpy', np.arange(4, dtype=np.float32)), ('jax', jnp.arange(4.0))):
    path = os.path.abspath(kind)
    checkpointer.save(path, {'w': value})
    checkpointer.wait_until_finished()
    for length in (8, 3):
      try:
        asked = {'w': jax.ShapeDtypeStruct((length,), jnp.float32)}
        answers[kind, length] = checkpointer.restore(path, asked)['w'].shape
      except ValueError:
        answers[kind, length] = 'ValueError'
for (kind, length), answer in answers.items():
  print(f'saved by {kind} with shape (4,), asked for ({length},):', answer)
assert answers == {('numpy', 8): (4,), ('numpy', 3): (4,),
                   ('jax', 8): 'ValueError', ('jax', 3): 'ValueError'}, answers
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: orbax-checkpoint 0.12.8 checks the shape of what was a jax.Array and not of'
echo 'what was NumPy.'
