"""Tensors of one format of one family <-> ours, in memory.

model = vitlab.models.resnet.make('50', 1000)
like = jax.eval_shape(model.init, key, image)
variables = vitlab.pretrained.import_tensors(state_dict, like, 'resnet', 'timm')
"""

import re
from collections.abc import Mapping
from typing import Any

from jaxtyping import PyTree

from vitlab import names, registry
from vitlab.errors import UserError, unknown
from vitlab.ops.positions import Grid
from vitlab.pretrained.assemble import Format, Part, Sides, assemble, disassemble, flatten, shapes
from vitlab.pretrained.layouts import same

# Words in which a model may differ from its weights: they only say how training starts, or what
# they decide is resampled (Swin's tables of biases; those of version 2 are computed).
RESAMPLED = frozenset({'layer_scale', 'window_size', 'pretrained_window_sizes'})


def formats(family: str) -> Mapping[str, Format]:
  """The formats that a family's weights are published in: 'timm', 'huggingface', ...

  Raises:
    UserError: no such family has published weights; names those that have.
  """
  if family not in registry.names('pretrained.families'):
    raise unknown('family of published weights', family, registry.names('pretrained.families'))
  return registry.module('pretrained.families', family).FORMATS


def kind(spec: Mapping[str, Any]) -> str:
  """The kind of learning of published weights, the name of a task: `KIND` in their family's file.

  Args:
    spec: Their model. Where what is learned depends on its head, `KIND` is a table of heads, whose
      first kind is that of all others.
  """
  known = registry.module('pretrained.families', spec['name']).KIND
  return known if isinstance(known, str) else known.get(spec['head'], next(iter(known.values())))


def find_format(family: str, name: str) -> Format:
  """One of them.

  Raises:
    UserError: as `formats`, or the family is not published in this format.
  """
  known = formats(family)
  if name not in known:
    raise unknown(f'format of {family} weights', name, known)
  return known[name]


def import_tensors(
  tensors: Mapping[str, Any],
  like: PyTree,
  family: str,
  format: str,
  *,
  spec: Mapping[str, Any] | None = None,
  image_size: Grid | None = None,
  head: str = 'keep',
  fresh: str = '',
) -> PyTree:
  """One player's collections from somebody else's tensors.

  Args:
    tensors: Name -> tensor of NumPy, JAX or torch.
    like: Our model's collections, {'params': ..., 'batch_stats': ...}, arrays or their shapes. They
      say the number of heads, whether blocks are stacked, and what positions are resampled to.
    family: 'vit', ...: a file of `vitlab/pretrained/`.
    format: One of its formats.
    spec: Our model's, where known.
    image_size: Pixels (height, width) that they were trained on; needed where learned positions
      come neither from a square nor from the grid of `like`.
    head: 'keep' the classifier, or 'new': it is not read, and is missing in the result.
    fresh: Regex (`re.match`) of paths of ours ('params/head/') that are not read and missing in the
      result, whether or not the tensors have them.

  Raises:
    UserError: tensors are missing, left over or of another shape, or a grid is not clear.
  """
  table = find_format(family, format)
  theirs = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
  part_of = table.part_of(Sides(shapes(like), theirs, spec or {}, image_size))
  left_out, optional = ('', '') if keeps_head(head) else (table.head, names.BESIDE_HEAD)
  return assemble(like, tensors, part_of, table.ignored, left_out, fresh, optional)


def transfer(
  tree: PyTree,
  like: PyTree,
  spec: Mapping[str, Any],
  *,
  image_size: Grid | None = None,
  head: str = 'keep',
  fresh: str = '',
) -> PyTree:
  """One of our trees in the shapes of another model of ours.

  Stacked or not, positions and bias tables resampled: by way of the names of timm.

  Args:
    tree: One player's collections.
    like: Those of the model to fill, or their shapes.
    spec: Of the model that `tree` is of.
    image_size: Pixels (height, width) that it was trained on.
    head: 'keep' the classifier, or 'new': it is missing in the result; of a model of sentences,
      all that knows its words.
    fresh: Regex of paths that are missing as well.

  Raises:
    UserError: what does not fit, listed.
  """
  modules = '|'.join(names.counted(spec['name']).modules)
  new = (rf'params/({modules})/', names.BESIDE_HEAD)
  left_out, optional = ('', '') if keeps_head(head) else new
  given, wanted = shapes(tree), shapes(like)
  kept = {p for p in wanted if not any(x and re.match(x, p) for x in (left_out, fresh))}
  frozen = 'frozen' in like and 'frozen' not in tree  # a batchnorm that has been learned elsewhere
  same_shapes = not frozen and all(given.get(path) in (None, wanted[path]) for path in kept)
  if same_shapes or not has_timm(spec['name']):
    part_of = lambda path, shape: Part((path,), same)  # noqa: E731
    # Beside a new head there may be less, too: an XLNet that classifies has no queries.
    options = dict(ignored=optional, left_out=left_out, fresh=fresh, optional=optional)
    return assemble(like, flatten(tree), part_of, **options)
  family = spec['name']
  tensors = export_tensors(tree, family, 'timm', spec)
  known = dict(spec=spec, image_size=image_size, head=head, fresh=fresh)
  return import_tensors(tensors, like, family, 'timm', **known)


def has_timm(model: str) -> bool:
  """Whether timm has this family of ours: by its names trees are resampled (`transfer`)."""
  return model in registry.names('pretrained.families') and 'timm' in formats(model)


def keeps_head(head: str) -> bool:
  """Whether an option says so; UserError if it says neither 'keep' nor 'new'."""
  if head not in ('keep', 'new'):
    raise UserError(f"head={head!r}: 'keep' the classifier of the weights or start a 'new' one")
  return head == 'keep'


def export_tensors(
  tree: PyTree, family: str, format: str, spec: Mapping[str, Any]
) -> dict[str, Any]:
  """Their tensors from one player's collections: the inverse of `import_tensors`.

  Raises:
    UserError: the format has no place for a parameter of ours.
  """
  table = find_format(family, format)
  return disassemble(tree, table.part_of(Sides(shapes(tree), spec=spec)))
