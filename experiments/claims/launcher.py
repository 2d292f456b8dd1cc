"""launch.py, which knows the models and data sets of this folder, too.

python experiments/claims/launcher.py --config=experiments/claims/pictures.py:model=plain_vit
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import launch  # noqa: E402
from experiments.claims import own  # noqa: E402

if __name__ == '__main__':
  own.add()
  sys.exit(launch.run())
