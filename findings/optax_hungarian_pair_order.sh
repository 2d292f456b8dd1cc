#!/usr/bin/env bash
# Two libraries find the same pairs and list them in opposite orders.
# One would guess: optax.assignment.hungarian_algorithm is a drop-in for
#   scipy.optimize.linear_sum_assignment, whose rows ascend, so its column indexes alone say
#   what is matched.
# Versions: optax 0.2.8, scipy 1.17.1, jax 0.10.2, numpy 2.4.6.
# Behaviour: optax lists the pairs by ascending column for a square matrix, by *descending*
#   column for a tall one and by *descending* row for a wide one; scipy by ascending row always.
#   The set of pairs and the cost are equal (the optimum below is unique), but whoever keeps one
#   of the two arrays gets another matching.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  optax==0.2.8 scipy==1.17.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat > show.py <<'PY'
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize

costs = {'square': np.array([[4.0, 1.0], [2.0, 3.0]]),
         'tall': np.array([[1.0, 5.0], [9.0, 9.0], [5.0, 1.0]]),
         'wide': np.array([[1.0, 9.0, 5.0], [5.0, 9.0, 1.0]])}
expected = {'square': ([[1, 0], [0, 1]], [[0, 1], [1, 0]]),
            'tall': ([[2, 0], [1, 0]], [[0, 2], [0, 1]]),
            'wide': ([[1, 0], [2, 0]], [[0, 1], [0, 2]])}
for name, cost in costs.items():
  ours = [np.asarray(x).tolist() for x in optax.assignment.hungarian_algorithm(jnp.asarray(cost))]
  scipys = [x.tolist() for x in scipy.optimize.linear_sum_assignment(cost)]
  print(f'{name}: rows, columns by optax {ours}, by scipy {scipys}')
  assert sorted(zip(*ours)) == sorted(zip(*scipys)), name
  assert (ours, scipys) == expected[name], (name, ours, scipys)
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: optax 0.2.8 and scipy 1.17.1 agree on the pairs and not on their order.'
