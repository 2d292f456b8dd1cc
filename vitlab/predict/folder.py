"""A trained model as a folder that other people's libraries load."""

from vitlab import pretrained
from vitlab.predict.trained import Trained
from vitlab.train import weights


def export(trained: Trained, format: str, output: str = '') -> str:
  """Writes a trained model as a folder that timm or Hugging Face loads.

  Args:
    trained: The model.
    format: 'timm' or 'huggingface'.
    output: The folder; by default export/<format> in the workdir.

  Returns:
    The folder.

  Raises:
    UserError: as `vitlab.pretrained.write`.
  """
  about = weights.about(trained.config, trained.facts)
  folder = output or f'{trained.workdir}/export/{format}'
  return str(pretrained.write(folder, trained.variables['model'], about, format))
