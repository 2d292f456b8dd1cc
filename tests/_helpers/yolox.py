"""What the authors' YOLOX computed, and ours on the same weights, inputs and objects.

The numbers are those of yolox 0.3.0 (Apache-2.0) in float64, made by `tests/references/yolox.py`;
weights and scenes are drawn from seeds by that file's functions.
"""

import importlib.util
import pathlib
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.models import yolo
from vitlab.ops.boxes import Objects, cxcywh_to_xyxy
from vitlab.pretrained import export_tensors, import_tensors

PATH = pathlib.Path(__file__).parents[1] / 'references' / 'yolox.py'
_spec = importlib.util.spec_from_file_location('yolox_reference', PATH)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)
EXPECTED = np.load(PATH.with_suffix('.npz'))
# Their case -> our model.
CASES = {
  'csp': dict(variant='mu', depths=(1, 3, 3, 1)),
  'depthwise': dict(variant='nano', width=8),
  'darknet': dict(variant='darknet53', width=4, depths=(1, 1, 2, 2, 1)),
}
SIZE = jnp.array([[reference.HEIGHT, reference.WIDTH]] * 3)


def make(case: str, **options):
  """Our model of a case."""
  return yolo.make(num_classes=reference.CLASSES, dtype='float64', **CASES[case] | options)


def shapes(case: str) -> dict[str, tuple[int, ...]]:
  """The names and shapes of their tensors."""
  sizes = (tuple(map(int, text.split())) for text in EXPECTED[f'{case}/shapes'])
  return dict(zip(map(str, EXPECTED[f'{case}/names']), sizes))


def picture() -> np.ndarray:
  """Theirs is blue first."""
  return reference.scene()[0][..., ::-1]


def objects(labels: np.ndarray) -> Objects:
  """Of rows (class, centre, width, height), zero where there is none."""
  boxes = cxcywh_to_xyxy(jnp.asarray(labels[..., 1:]))
  return Objects(boxes, jnp.where(labels[..., 3] > 0, labels[..., 0], -1).astype(int))


@cache
def variables(case: str):
  """Their weights by the public importer."""
  model, image = make(case), jnp.asarray(picture())
  like = jax.eval_shape(model.init, jax.random.key(0), image, SIZE)
  like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), like)
  return import_tensors(reference.weights(shapes(case)), like, 'yolo', 'yolox')


def measured(tree, case: str, statistics: bool = False) -> np.ndarray:
  """Of each of their parameters, or statistics, what the reference stores."""
  names = [n for n in shapes(case) if ('running' in n) == statistics]
  tensors = export_tensors(tree, 'yolo', 'yolox', dict(name='yolo'))
  return reference.measured({name: tensors[name] for name in names})


def trained(case: str, model):
  """One step: total loss, terms, slopes and statistics."""
  image, found = jnp.asarray(picture()), objects(reference.scene()[1])

  @jax.jit
  def run(given):
    def loss(params):
      out, moved = model.apply(
        {**given, 'params': params}, image, SIZE, True, mutable='batch_stats'
      )
      terms = model.losses(out, found, SIZE, jnp.ones(3, bool))
      parts = {name: t.weight * t.sum / jnp.maximum(t.count, 1) for name, t in terms.items()}
      return sum(parts.values()), (parts, moved)

    return jax.value_and_grad(loss, has_aux=True)(given['params'])

  (total, (parts, moved)), slopes = run(variables(case))
  return total, parts, {'params': slopes}, moved


def cells():
  """Centres and strides of all cells."""
  corners, strides = reference.grid()
  return (corners + 0.5) * strides[:, None], strides


def scene(seed: int) -> dict:
  """The arguments of `sim_ota`, in one shape for all seeds."""
  classes, boxes, predicted, logits, objectness = reference.answers(seed)
  labels = np.zeros((7, 5))
  labels[: len(classes)] = np.concatenate([classes[:, None], boxes], axis=1)
  centres, strides = cells()
  return dict(
    boxes=cxcywh_to_xyxy(jnp.asarray(predicted)),
    logits=jnp.asarray(logits),
    objectness=jnp.asarray(objectness),
    centres=jnp.asarray(centres),
    strides=jnp.asarray(strides),
    objects=objects(labels),
  )
