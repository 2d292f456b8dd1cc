"""Where the optional real data sets lie; tests that use them are marked `data`."""

import os
import pathlib

ROOT = pathlib.Path(
  os.environ.get('VITLAB_TEST_DATA') or pathlib.Path(__file__).parents[3] / 'shared' / 'data'
)
