"""Images of a run: its mistakes, and what its attention looks at."""

import inspect
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vitlab import registry
from vitlab.data import Source, _splits
from vitlab.engine import trained as trained_lib
from vitlab.engine import workdir
from vitlab.engine.trained import Trained
from vitlab.errors import UserError

MISTAKES = 24
ATTENDED = 8  # half of them mistakes, if there are so many
SEARCHED = 256  # examples among which the others are looked for, to have different classes


Mistake = tuple[int, int, int, float]  # index, label, predicted, confidence


class Picture(NamedTuple):
  """One image of a split and what the model made of it.

  Attributes:
    index: Its place in the split.
    image: What the model saw, before augmentation and normalisation.
    label: The true class.
    predicted: The class that the model gave, -1 where its logits are NaN.
    confidence: The probability that the model gave to `predicted`.
    attention: Weights over the patches, per layer and head: of the class token, or the mean over
      all patches where there is none.
    rollout: The same for all layers at once, see `rollout`.
  """

  index: int
  image: UInt8[np.ndarray, 'h w c']
  label: int
  predicted: int
  confidence: float
  attention: Float[np.ndarray, 'depth n rows columns'] | None = None
  rollout: Float[np.ndarray, 'rows columns'] | None = None


class Pictures(NamedTuple):
  """What the page shows of a split: mistakes, the surest first, and images with attention."""

  mistakes: Sequence[Picture] = ()
  attended: Sequence[Picture] = ()


def collect(folder: str | pathlib.Path) -> Pictures:
  """Pictures of a run, of the split that its first classification evaluator reads.

  Raises:
    UserError: there is no checkpoint or no evaluation yet, or the data set cannot be read here.
  """
  trained = trained_lib.load(str(folder))
  mistakes, split = _stored_mistakes(pathlib.Path(folder), trained)
  source = _splits.select(registry.make('data', trained.config.data.to_dict()), split)
  return look(trained, source, mistakes)


def look(trained: Trained, source: Source, mistakes: Sequence[Mistake]) -> Pictures:
  """Pictures of known mistakes, and of what the model looks at in some of them and in others.

  Args:
    trained: The model.
    source: The split that the mistakes index.
    mistakes: Of an evaluation, the surest first.

  Returns:
    No images with attention where the model gives none, or none over a grid of patches.
  """
  seen = [Picture(i, source[i]['image'], *said) for i, *said in mistakes[:MISTAKES]]
  indices = [one.index for one in seen[: ATTENDED // 2]]
  indices += _others(source, {index for index, *_ in mistakes}, ATTENDED - len(indices))
  try:
    attend = _attention(trained)
    return Pictures(seen, [_attended(attend, trained, source, index) for index in indices])
  except UserError:
    return Pictures(seen)


def rollout(attention: Float[Array, 'depth n t t']) -> Float[Array, 't t']:
  """How much of each input token is in each output token (Abnar and Zuidema 2020, 2005.00928).

  A layer mixes tokens by its attention, averaged over the heads, and passes them on unchanged:
  `prod_l (A_l + I) / 2`, the last layer leftmost.
  """
  mixed = attention.mean(axis=1)
  total = jnp.eye(mixed.shape[-1], dtype=mixed.dtype)
  for layer in mixed:
    total = (layer @ total + total) / 2
  return total


def _stored_mistakes(folder: pathlib.Path, trained: Trained) -> tuple[list[Mistake], str]:
  """The mistakes of the last evaluation, and the split that they index."""
  for name, spec in trained.config.evaluators.items():
    details = workdir.read_details(folder, name)
    if 'mistakes_index' in details:
      columns = ('index', 'label', 'predicted', 'confidence')
      parameters = inspect.signature(registry.find('evaluators', spec['name'])).parameters
      mistakes = zip(*(details[f'mistakes_{column}'].tolist() for column in columns))
      return list(mistakes), spec.get('split', parameters['split'].default)
  raise UserError(f'workdir {str(folder)!r} has no details of a classification yet: --mode=eval')


def _others(source: Source, taken: set[int], count: int) -> list[int]:
  """Indices of images that are no mistakes, of as many different classes as there are."""
  by_class: dict[int, list[int]] = {}
  for index in range(min(len(source), SEARCHED)):
    if index not in taken:
      by_class.setdefault(int(source[index]['label']), []).append(index)
  rounds = [(place, index) for group in by_class.values() for place, index in enumerate(group)]
  return [index for _, index in sorted(rounds)[:count]]


def _attention(trained: Trained) -> Callable[..., tuple[Array, Array, Array]]:
  """(variables, image) -> probabilities, attention by layer and head, rollout; compiled once."""
  if 'attention' not in trained.task.predict:
    raise UserError('the task gives no attention')
  params = trained.variables['model']['params']
  kernel = params.get('patch_embed', {}).get('kernel')
  if kernel is None:
    raise UserError('the model cuts its image into no patches')
  patch_size, from_class_token = kernel.shape[:2], 'cls_token' in params

  @jax.jit
  def attend(variables, image):
    batch = {'image': image[None]}
    probabilities = trained.task.predict['probabilities'](variables, batch)[0]
    weights = trained.task.predict['attention'](variables, batch)[0].astype(jnp.float32)
    rows, columns = (size // patch for size, patch in zip(image.shape[:2], patch_size))
    before = weights.shape[-1] - rows * columns  # class token and registers
    if before < 0:
      raise UserError('the attention is not over the patches of the image')

    def over_patches(w):
      w = w[..., 0, :] if from_class_token else w[..., before:, :].mean(axis=-2)
      return w[..., before:].reshape(*w.shape[:-1], rows, columns)

    return probabilities, over_patches(weights), over_patches(rollout(weights))

  return attend


def _attended(attend: Callable, trained: Trained, source: Source, index: int) -> Picture:
  example = source[index]
  found = attend(trained.variables, jnp.asarray(example['image']))
  probabilities, attention, rolled = map(np.asarray, found)
  predicted = int(probabilities.argmax())
  confidence = float(probabilities[predicted])
  label = int(example['label'])
  return Picture(index, example['image'], label, predicted, confidence, attention, rolled)
