#!/usr/bin/env bash
# A transposed array comes back as another matrix of the same shape.
# One would guess: what safetensors.numpy saves of an array is its values in row-major order, as
#   the format says, also where the array is a view with other strides.
# Versions: safetensors 0.8.0 beside 0.7.0, numpy 2.4.6.
# Behaviour: 0.8.0 writes the memory as it lies under the shape of the view: of
#   arange(6).reshape(2, 3).T the file holds [[0, 1], [2, 3], [4, 5]] where the array is [[0,
#   3], [1, 4], [2, 5]]. No warning, save and save_file alike. 0.7.0 wrote the right values;
#   numpy.ascontiguousarray before saving mends it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check numpy==2.4.6

cat > show.py <<'PY'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

right = [[0, 3], [1, 4], [2, 5]]
expected = {'0.7.0': right, '0.8.0': [[0, 1], [2, 3], [4, 5]]}[sys.argv[1]]
assert safetensors.__version__ == sys.argv[1], safetensors.__version__
array = np.arange(6).reshape(2, 3).T
assert array.tolist() == right
save_file({'array': array}, 'array.safetensors')
back = load_file('array.safetensors')['array'].tolist()
print(f'safetensors {sys.argv[1]}: saved {right}, read {back}')
assert back == expected and load(save({'array': array}))['array'].tolist() == expected, back
contiguous = np.ascontiguousarray(array)
assert load(save({'array': contiguous}))['array'].tolist() == right
PY
for version in 0.7.0 0.8.0; do
  env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
    "safetensors==$version"
  env/bin/python show.py "$version"
done
echo 'As described: safetensors 0.8.0 stores a transposed array in the order of memory; 0.7.0 did'
echo 'not.'
