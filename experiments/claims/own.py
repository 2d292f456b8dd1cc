"""Makes models and data sets of this folder known by name, as those of vitlab are.

What only an experiment needs is no option of the library: a file in `models/` or `sets/` here.
"""

import pathlib

import vitlab.data.sets
import vitlab.models

HERE = pathlib.Path(__file__).parent


def add() -> None:
  """To the folders that the registry looks into; once is enough."""
  for package, name in ((vitlab.models, 'models'), (vitlab.data.sets, 'sets')):
    if str(HERE / name) not in package.__path__:
      package.__path__.append(str(HERE / name))
