"""`--mode=export`: a trained model as one file that runs without the code of the model."""

import pathlib

from vitlab import workdir
from vitlab.predict import find, stablehlo
from vitlab.predict.trained import Trained


def export(trained: Trained, output: str = '') -> pathlib.Path:
  """Writes a trained model as one file, with what its kind of learning tells of it beside it.

  Args:
    trained: The model.
    output: The file; by default export/model.stablehlo in the workdir.

  Raises:
    UserError: its kind of learning has no program to export.
  """
  program = find(trained.kind, 'exported', '--mode=export')(trained)
  facts = {**program.facts, 'step': trained.step, 'config': workdir.to_json(trained.config)}
  path = output or pathlib.Path(trained.workdir) / 'export' / 'model.stablehlo'
  return stablehlo.save(path, program.function, program.example, facts)
