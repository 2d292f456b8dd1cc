#!/usr/bin/env bash
# A query that may see nothing answers with the mean of what it may not see.
# One would guess: in jax.nn.dot_product_attention a mask that is False everywhere and a bias of
#   minus infinity everywhere say the same, and a row without any valid key gives zeros (or
#   NaN).
# Versions: jax 0.10.2, numpy 2.4.6 (the XLA implementation on a CPU).
# Behaviour: for the values 1, 2, 3, 4, mask False gives 2.5, the mean of all values that were
#   masked away; key_value_seq_lengths 0, an example that is padding alone, gives 2.5 too; a
#   bias of minus infinity gives NaN; only query_seq_lengths gives zeros, for queries beyond it.
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

query, key = jnp.zeros((1, 2, 1, 1)), jnp.zeros((1, 4, 1, 1))
value = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
nothing = {
  'mask False': {'mask': jnp.zeros((1, 1, 2, 4), bool)},
  'bias minus infinity': {'bias': jnp.full((1, 1, 2, 4), -jnp.inf)},
  'no valid key': {'key_value_seq_lengths': jnp.array([0])},
  'one valid query': {'query_seq_lengths': jnp.array([1])}}
answers = {}
for name, arguments in nothing.items():
  found = jax.nn.dot_product_attention(query, key, value, implementation='xla', **arguments)
  answers[name] = [f'{x:.3g}' for x in found.ravel().tolist()]
  print(name, answers[name])
assert answers == {'mask False': ['2.5', '2.5'], 'bias minus infinity': ['nan', 'nan'],
                   'no valid key': ['2.5', '2.5'], 'one valid query': ['2.5', '0']}, answers
PY
JAX_PLATFORMS=cpu env/bin/python show.py
echo 'As described: jax 0.10.2 answers a row that is masked altogether with the mean of all'
echo 'values.'
