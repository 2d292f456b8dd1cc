"""A trained model as a folder, or of word vectors a file, that other people's libraries load."""

from vitlab import pretrained
from vitlab.predict.trained import Trained
from vitlab.train import weights


def export(trained: Trained, format: str, output: str = '') -> str:
  """Writes a trained model as timm, Hugging Face or, of word vectors, gensim loads it.

  Args:
    trained: The model.
    format: See `vitlab.pretrained.write`.
    output: The folder or file; by default export/<format> in the workdir.

  Returns:
    The folder, or the file.

  Raises:
    UserError: as `vitlab.pretrained.write`.
  """
  about = weights.about(trained.config, trained.facts)
  folder = output or f'{trained.workdir}/export/{format}'
  return str(pretrained.write(folder, trained.variables['model'], about, format))
