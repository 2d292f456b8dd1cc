#!/usr/bin/env bash
# Two functions of one library disagree on which checkpoints a folder holds.
# One would guess: orbax.checkpoint.utils.checkpoint_steps lists the steps that a
#   CheckpointManager of the same folder has, and passes over whatever else lies there.
# Versions: orbax-checkpoint 0.12.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6.
# Behaviour: beside a real step 3, empty folders '05', 'tmp_8' and '6_7' are steps 5, 8 and 7 to
#   checkpoint_steps, and a folder '_6' ends it with ValueError: Unrecognized name format. The
#   manager, and step.standard_name_format().find_all, have step 3 alone. A script that deletes or
#   restores "the newest step" by the first finds one that was never saved.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat > show.py <<'PY'
import pathlib

import numpy as np
import orbax.checkpoint as ocp

folder = pathlib.Path('checkpoints').resolve()
with ocp.CheckpointManager(folder) as manager:
  manager.save(3, args=ocp.args.StandardSave({'w': np.zeros(2, np.float32)}))
for name in ('05', 'tmp_8', '6_7'):
  (folder / name).mkdir()
listed = sorted(ocp.utils.checkpoint_steps(folder))
with ocp.CheckpointManager(folder) as manager:
  managed = sorted(manager.all_steps())
found = sorted(x.step for x in ocp.path.step.standard_name_format().find_all(folder))
print('folders:', sorted(x.name for x in folder.iterdir() if x.is_dir()))
print('checkpoint_steps:', listed, ' manager:', managed, ' find_all:', found)
(folder / '_6').mkdir()
try:
  error = f'none, {sorted(ocp.utils.checkpoint_steps(folder))}'
except ValueError as raised:
  error = str(raised)
print("with a folder '_6', error of checkpoint_steps:", error)
assert listed == [3, 5, 7, 8] and managed == found == [3], (listed, managed, found)
assert 'Unrecognized name format' in error, error
PY
JAX_PLATFORMS=cpu env/bin/python show.py 2>/dev/null
echo 'As described: orbax-checkpoint 0.12.8 lists steps in checkpoint_steps that nobody saved.'
