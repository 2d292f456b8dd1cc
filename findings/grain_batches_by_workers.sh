#!/usr/bin/env bash
# The number of worker processes decides what is in a batch.
# One would guess: worker_count is a matter of speed; ten examples in order with Batch(4) make
#   [0..3], [4..7], [8, 9] however many processes read them.
# Versions: grain 0.2.18, numpy 2.4.6, absl-py 2.3.1.
# Behaviour: each worker batches its own share of the examples. With 0 or 1 workers the batches
#   are as guessed; with 2 they are [0, 2, 4, 6], [1, 3, 5, 7], [8], [9]: other neighbours, one
#   batch more, and two short batches at the end.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  grain==0.2.18 numpy==2.4.6 absl-py==2.3.1

cat > show.py <<'PY'
from absl import app
import grain.python as grain


class Numbers:
  def __len__(self):
    return 10

  def __getitem__(self, index):
    return index


def main(_):
  expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
  by_two = [[0, 2, 4, 6], [1, 3, 5, 7], [8], [9]]
  for workers in (0, 1, 2):
    sampler = grain.IndexSampler(10, shard_options=grain.NoSharding(), shuffle=False, num_epochs=1)
    loader = grain.DataLoader(data_source=Numbers(), sampler=sampler,
                              operations=[grain.Batch(4)], worker_count=workers)
    batches = [batch.tolist() for batch in loader]
    print('workers', workers, 'batches', batches)
    assert batches == (by_two if workers == 2 else expected), batches


if __name__ == '__main__':
  app.run(main)
PY
env/bin/python show.py
echo 'As described: batches of the DataLoader of grain 0.2.18 depend on worker_count.'
