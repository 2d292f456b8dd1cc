#!/usr/bin/env bash
# A checkpoint keeps one of two arrays, and restores it twice.
# One would guess: a tree of arrays with different paths, {"enc": {"0": ones}, "enc.0": twos},
#   is saved and restored as it is, or refused.
# Versions: orbax-checkpoint 0.12.8, jax 0.10.2, numpy 2.4.6.
# Behaviour: names of parameters are joined by a dot, so both are stored as "enc.0". Saving and
#   restoring succeed, the tree has its right structure and shapes, and both leaves hold the
#   values of one of the two.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat > show.py <<'PY'
import os

import numpy as np
import orbax.checkpoint as ocp

tree = {'enc': {'0': np.ones(2)}, 'enc.0': np.full(2, 2.0)}
with ocp.StandardCheckpointer() as checkpointer:
  checkpointer.save(os.path.abspath('checkpoint'), tree)
  checkpointer.wait_until_finished()
  back = checkpointer.restore(os.path.abspath('checkpoint'))
first, second = back['enc']['0'].tolist(), back['enc.0'].tolist()
print('saved [1, 1] and [2, 2], restored', first, 'and', second)
assert list(back) == ['enc', 'enc.0'] and list(back['enc']) == ['0'], back
assert first == second and first in ([1.0, 1.0], [2.0, 2.0]), (first, second)
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: orbax-checkpoint 0.12.8 stores enc/0 and enc.0 as one array and loses the'
echo 'other.'
