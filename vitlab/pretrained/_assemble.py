"""Fills a parameter tree from somebody else's named tensors, and says exactly what does not fit."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import PyTree

from vitlab.errors import UserError

Shape = tuple[int, ...]


class Misshapen(Exception):
  """A tensor does not have the shape that the model needs; carries the shape it needs."""


def assemble(
  like: PyTree,
  tensors: Mapping[str, Any],
  names: Callable[[str], Iterable[str]],
  convert: Callable[[str, list[np.ndarray], Shape], np.ndarray],
) -> PyTree:
  """Builds parameters like `like` from tensors with other names.

  Args:
    like: The model's parameters, arrays or their shapes (`jax.eval_shape` of `init`).
    tensors: Name -> tensor of NumPy, JAX or torch.
    names: Path of a parameter ('head/kernel') -> the names of the tensors it is made of.
    convert: (path, these tensors, shape of the parameter) -> the parameter, or raises Misshapen.

  Returns:
    Parameters with the structure, shapes and dtypes of `like`.

  Raises:
    UserError: tensors are missing, left over or of another shape; lists them.
  """
  params, missing, misshapen, unused = {}, [], [], set(tensors)
  for path, leaf in flatten_dict(like, sep='/').items():
    wanted = list(names(path))
    unused -= set(wanted)
    absent = [name for name in wanted if name not in tensors]
    if absent or not wanted:
      missing += absent or [path]
      continue
    arrays = [_numpy(tensors[name]) for name in wanted]
    try:
      params[path] = jnp.asarray(convert(path, arrays, leaf.shape), leaf.dtype)
    except Misshapen as error:
      given = ' '.join(f'{name} {array.shape}' for name, array in zip(wanted, arrays))
      misshapen.append(f'{given}, needed {error}')
  problems = dict(missing=missing, unused=sorted(unused), misshapen=misshapen)
  lines = [f'{problem}: {_shorten(them)}' for problem, them in problems.items() if them]
  if lines:
    raise UserError('the weights do not fit the model; ' + '\n'.join(lines))
  return unflatten_dict(params, sep='/')


def _numpy(tensor: Any) -> np.ndarray:
  if hasattr(tensor, 'detach'):
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == 'torch.bfloat16':  # NumPy has no such type
      tensor = tensor.float()
  return np.asarray(tensor)


def _shorten(names: list[str], most: int = 6) -> str:
  more = f' and {len(names) - most} more' if len(names) > most else ''
  return ', '.join(names[:most]) + more
