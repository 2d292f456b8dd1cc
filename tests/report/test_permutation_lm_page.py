"""The page of a permutation language model is that of a masked one."""

import numpy as np

from vitlab.report import drawers, masked_lm
from vitlab.report.run import Run


def test_its_guesses_are_shown_as_those_of_a_masked_one():
  row = dict(tokens=[5, 6], place=[0, -1], target=[5, 0], guess=[7, 0], nll=[0.25, 0.0], index=0)
  found = {f'guess_{name}': np.array(value)[None] for name, value in row.items()}
  run = Run('it', {'task': {'name': 'permutation_lm'}}, [], {}, {}, dict(val=found))
  drawer = drawers.find([run])
  assert drawer.__name__.endswith('permutation_lm')
  assert drawer.parts(run) == masked_lm.parts(run) and '#7' in drawer.parts(run)[0].body
