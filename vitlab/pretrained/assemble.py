"""Our trees of parameters <-> other people's named tensors; says exactly what does not fit.

A family's file (`vitlab/pretrained/families/vit.py`, ...) is a table: which tensors a parameter of
ours is made of and how they lie in memory (`layouts.py`). Here is what all tables share.

A tree holds one player's collections, {'params': ..., 'batch_stats': ...}; a path in it reads
'params/head/kernel'. Scanned stacks are unrolled before a table sees them: paths always say
'encoder/block_3/...', never 'blocks'.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import PyTree

from vitlab.errors import UserError
from vitlab.layers.stack import unstack_blocks
from vitlab.ops.positions import Grid
from vitlab.pretrained.files import Files
from vitlab.pretrained.keys import Keys
from vitlab.pretrained.layouts import Layout, Shape
from vitlab.pretrained.preprocessing import Preprocessing

Shapes = Mapping[str, Shape]
HEAD = r'(head|head_dist|fc|classifier|cls_classifier|distillation_classifier)\.'


class Part(NamedTuple):
  """The tensors that a parameter is made of.

  Attributes:
    names: Theirs. Several lie along the first axis: queries, keys and values apart.
    layout: Of the tensor, or of the several together.
    sizes: Of several names, relative to each other; (): equal. (2, 1) where queries and keys are
      one tensor and values another.
  """

  names: tuple[str, ...]
  layout: Layout
  sizes: tuple[int, ...] = ()

  def lengths(self, total: int) -> list[int]:
    """Of the tensors along the first axis, which is so long for all of them together."""
    sizes = self.sizes or (1,) * len(self.names)
    return [total * size // sum(sizes) for size in sizes]


PartOf = Callable[[str, Shape], Part | None]


class Sides(NamedTuple):
  """What is known of both sides before a table is chosen.

  Attributes:
    ours: Path -> shape of all our parameters.
    theirs: Name -> shape of all their tensors; empty on export.
    spec: Of our model, dict(name=..., ...); empty where the caller has none.
    image_size: Pixels (height, width) that the weights were trained on; None: not known.
  """

  ours: Shapes
  theirs: Shapes = {}
  spec: Mapping[str, Any] = {}
  image_size: Grid | None = None


class Format(NamedTuple):
  """One way in which a family's weights are published.

  Attributes:
    part_of: Sides -> (path, shape) -> Part, or None if they have no such parameter.
    spec: (their config.json, their names and shapes) -> our model spec, dict(name=..., ...), all
      that `registry.make('models', spec)` needs to compute what they compute; UserError if nothing
      here computes it. timm's config says {'architecture': ..., 'num_classes': ...,
      'model_args': ...}; it may be empty.
    config: (our spec, image size) -> their config.json; UserError that names the words if they have
      no such model. None: weights in this format are read, not written.
    ignored: Regex of tensors that carry nothing (relative_position_index, pooler, ...).
    head: Regex of the tensors of the classifier; of a model of sentences, of its words.
    architectures: Regex of the names of their models, timm's `architecture` or Hugging Face's
      `model_type`; '': the family's own name begins them.
    sign: Regex of a tensor's name that no other format of any family has, by which weights without
      a config.json are known.
    preprocessing: Where the files do not say it; or (their config.json, their shapes) -> it. None:
      of a model that sees no pictures.
    keys: What their config.json may say; None: it is not looked at.
    prepare: What lies in their files -> the same as our models need it: our numbers of tokens, no
      position of a class token apart from it. None: it is as it should be.
    around: Whether their models read texts with special tokens around them.
    rewrite: (one player's collections, our spec, image size) -> another of our models that computes
      the same and that they can say, where there is one. None: of this format there is none.
  """

  part_of: Callable[[Sides], PartOf]
  spec: Callable[[Mapping[str, Any], Shapes], dict[str, Any]]
  config: Callable[[Mapping[str, Any], Grid | None], dict[str, Any]] | None = None
  ignored: str = ''
  head: str = HEAD
  architectures: str = ''
  sign: str = ''
  preprocessing: Preprocessing | Callable[[Mapping[str, Any], Shapes], Preprocessing] | None = (
    Preprocessing()
  )
  keys: Keys | None = None
  prepare: Callable[[Files], Files] | None = None
  around: bool = False
  rewrite: Callable[[PyTree, Mapping[str, Any], Grid], tuple[PyTree, dict[str, Any]]] | None = None


def assemble(
  like: PyTree,
  tensors: Mapping[str, Any],
  part_of: PartOf,
  ignored: str = '',
  left_out: str = '',
  fresh: str = '',
  optional: str = '',
) -> PyTree:
  """Builds a tree like `like` from their tensors.

  Args:
    like: One player's collections, arrays or their shapes (`jax.eval_shape` of `init`).
    tensors: Name -> tensor of NumPy, JAX or torch.
    part_of: (path, shape) of a parameter -> the tensors that it is made of, or None.
    ignored: Regex (`re.match`) of tensors that no parameter needs.
    left_out: Regex of tensors that are not read: parameters made of them are not in the result.
    fresh: Regex of paths of parameters that are not in the result either.
    optional: Regex of paths of parameters that are not in it where they have no tensor.

  Returns:
    NumPy arrays with the structure, shapes and dtypes of `like`.

  Raises:
    UserError: tensors are missing, left over or of another shape; lists them.
  """
  skipped = re.compile('|'.join(f'(?:{p})' for p in (ignored, left_out) if p) or r'(?!)')
  ours, missing, misshapen = {}, [], []
  unused = {name for name in tensors if not skipped.match(name)}
  for path, leaf in flatten(like).items():
    part = part_of(path, leaf.shape)
    if fresh and re.match(fresh, path):
      unused -= set(part.names if part else ())
      continue
    if part and left_out and all(re.match(left_out, name) for name in part.names):
      continue
    unused -= set(part.names if part else ())
    absent = [name for name in part.names if name not in tensors] if part else [path]
    none = part is None or len(absent) == len(part.names)
    if absent and optional and none and re.match(optional, path):
      continue
    if absent:
      missing += [name for name in absent if name not in missing]
      continue
    arrays = [numpy(tensors[name]) for name in part.names]
    wanted = part.layout.theirs(leaf.shape)
    if all(map(_fits, arrays, _wanted_each(wanted, part))):
      whole = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
      ours[path] = np.asarray(part.layout.to_ours(whole, leaf.shape)).astype(leaf.dtype)
    else:
      given = ' '.join(f'{name} {array.shape}' for name, array in zip(part.names, arrays))
      misshapen.append(f'{given}, needed {_text(wanted)}')
  _complain(dict(missing=missing, unused=sorted(unused), misshapen=misshapen))
  return _restack(unflatten_dict(ours, sep='/'), like)


def disassemble(tree: PyTree, part_of: PartOf) -> dict[str, np.ndarray]:
  """Their tensors from one player's collections: the inverse of `assemble`.

  Raises:
    UserError: they have no place for a parameter; lists those.
  """
  tensors, shares, homeless = {}, {}, []
  for path, leaf in flatten(tree).items():
    array = numpy(leaf)
    part = part_of(path, array.shape)
    if part is None:
      homeless.append(path)
      continue
    theirs = part.layout.to_theirs(array)
    if part.layout.share:
      axis, place = part.layout.share
      shares.setdefault((part.names[0], axis), {})[place] = theirs
    else:
      ends = np.cumsum(part.lengths(len(theirs)))
      tensors |= zip(part.names, np.split(theirs, ends[:-1]))
  if homeless:
    raise UserError(f'the format has no place for these parameters: {shorten(homeless)}')
  for (name, axis), parts in shares.items():
    tensors[name] = np.concatenate([parts[place] for place in sorted(parts)], axis)
  return {name: np.asarray(array, order='C') for name, array in tensors.items()}


def numpy(tensor: Any) -> np.ndarray:
  """The array of a tensor of NumPy, JAX or torch."""
  if hasattr(tensor, 'detach'):
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == 'torch.bfloat16':  # NumPy has no such type
      tensor = tensor.float()
  return np.asarray(tensor)


def shorten(names: list[str], most: int = 6) -> str:
  """The first names of a list, and how many more there are."""
  more = f' and {len(names) - most} more' if len(names) > most else ''
  return ', '.join(names[:most]) + more


def shapes(tree: PyTree) -> dict[str, Shape]:
  """Path -> shape of every array in one player's collections, stacks unrolled."""
  return {path: tuple(leaf.shape) for path, leaf in flatten(tree).items()}


def flatten(tree: PyTree) -> dict[str, Any]:
  """Path -> every array in one player's collections, stacks unrolled."""
  abstract = any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(tree))
  unrolled = jax.eval_shape(unstack_blocks, tree) if abstract else unstack_blocks(tree)
  return flatten_dict(unrolled, sep='/')


def _restack(tree: PyTree, like: PyTree) -> PyTree:
  """Stacks the blocks where `like` has them stacked."""
  if not isinstance(like, Mapping):
    return tree
  blocks = {name: tree[name] for name in tree if re.fullmatch(r'block_\d+', name)}
  if 'blocks' in like and blocks:
    ordered = [blocks[f'block_{i}'] for i in range(len(blocks))]
    tree = {name: tree[name] for name in tree if name not in blocks}
    tree['blocks'] = jax.tree.map(lambda *leaves: np.stack(leaves), *ordered)
    like = {**like, 'blocks': None}
  return {name: _restack(value, like.get(name)) for name, value in tree.items()}


def _wanted_each(wanted: tuple, part: Part) -> list[tuple]:
  """The shape of each of the tensors that are `wanted` together."""
  if len(part.names) == 1:
    return [wanted]
  return [(length, *wanted[1:]) for length in part.lengths(wanted[0])]


def _fits(array: np.ndarray, wanted: tuple) -> bool:
  pairs = zip(array.shape, wanted)
  return array.ndim == len(wanted) and all(there in (None, here) for here, there in pairs)


def _text(shape: tuple) -> str:
  return str(tuple('any' if n is None else n for n in shape)).replace("'", '')


def _complain(problems: Mapping[str, list[str]]) -> None:
  lines = [f'{problem}: {shorten(them)}' for problem, them in problems.items() if them]
  if lines:
    raise UserError('the weights do not fit the model; ' + '\n'.join(lines))
