"""A trained predict function as one file that runs without the code of the model.

The file is StableHLO, serialised by `jax.export`, parameters included; it runs on CPU, CUDA and TPU
and takes any batch size. A JSON file beside it says what goes in and what comes out:

  from vitlab.predict import stablehlo
  classify = stablehlo.load('runs/vit_digits/export/model.stablehlo')
  probabilities = classify(images)  # uint8 [b h w c] -> float32 [b classes]
  classify.facts['class_names']

`jax.export` promises that a file can be read for six months by newer versions of JAX, and three
weeks by older ones; export again after that.
"""

import json
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export as jax_export
from jaxtyping import Array, Shaped

from vitlab.errors import UserError

PLATFORMS = ('cpu', 'cuda', 'tpu')


class Exported(NamedTuple):
  """A function read from a file; call it like the function that was saved.

  Attributes:
    call: array -> array, compiled at the first call for each batch size.
    facts: The JSON file: what was given to `save`, and the shapes and types of `input`, `output`.
  """

  call: Callable[[Any], Array]
  facts: Mapping[str, Any]

  def __call__(self, array: Shaped[np.ndarray | Array, 'b ...']) -> Array:
    wanted = self.facts['input']
    if list(array.shape[1:]) != wanted['shape'][1:] or str(array.dtype) != wanted['dtype']:
      given = f'{array.dtype}{list(array.shape)}'
      shape = ', '.join(map(str, wanted['shape']))
      raise UserError(f'given {given}, but the exported function takes {wanted["dtype"]}[{shape}]')
    if not len(array):
      raise UserError(
        'given 0 rows, but the exported function takes one or more: leave out the call'
      )
    return self.call(array)


def save(
  path: str | pathlib.Path,
  function: Callable[[Array], Array],
  example: jax.ShapeDtypeStruct,
  facts: Mapping[str, Any],
) -> pathlib.Path:
  """Writes `<path>` and, beside it, `<path>.json`.

  Args:
    path: Its folder is made.
    function: Array -> array, both with the batch as first axis; what it closes over is stored.
    example: Shape and type of the input; the size of its first axis does not matter.
    facts: Anything JSON can hold, for whoever uses the file.

  Returns:
    The path.
  """
  (batch,) = jax_export.symbolic_shape('b')
  argument = jax.ShapeDtypeStruct((batch, *example.shape[1:]), example.dtype)
  exported = jax_export.export(jax.jit(function), platforms=PLATFORMS)(argument)
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(exported.serialize())
  described = {
    **facts,
    'input': _describe(exported.in_avals[0]),
    'output': _describe(exported.out_avals[0]),
    'platforms': list(PLATFORMS),
    'jax': jax.__version__,
  }
  sidecar(path).write_text(json.dumps(described, indent=2) + '\n')
  return path


def load(path: str | pathlib.Path) -> Exported:
  """Reads what `save` wrote; needs JAX and nothing of the model.

  Raises:
    UserError: a file is missing or is not what `save` writes, or a newer JAX wrote it in a form
      that this one does not read.
  """
  path = pathlib.Path(path)
  facts = {}
  try:
    facts = json.loads(sidecar(path).read_text())
    wanted = jax.ShapeDtypeStruct((1, *facts['input']['shape'][1:]), facts['input']['dtype'])
    call = jax.jit(jax_export.deserialize(bytearray(path.read_bytes())).call)
    if _is_newer(facts):  # what it cannot read JAX would say at the first call
      call.lower(wanted)
  except OSError as error:
    raise UserError(f'no exported model {str(path)!r}: {error.strerror}; --mode=export') from error
  except Exception as error:  # flatbuffers raises anything on damaged data
    if _is_newer(facts):
      raise UserError(
        f'{str(path)!r} was exported by jax {facts["jax"]}: jax {jax.__version__} cannot read it'
        f'\ninstall jax>={facts["jax"]}, or export again with {jax.__version__}'
      ) from error
    raise UserError(f'{str(path)!r} is damaged or not an exported model: export again') from error
  return Exported(call, facts)


def _is_newer(facts: Any) -> bool:
  """Whether a newer JAX than this one wrote the file."""
  number = lambda version: [int(n) for n in re.findall(r'\d+', str(version))[:3]]  # noqa: E731
  return isinstance(facts, dict) and number(facts.get('jax')) > number(jax.__version__)


def sidecar(path: pathlib.Path) -> pathlib.Path:
  """The JSON file beside an exported model."""
  return path.with_name(path.name + '.json')


def _describe(aval: Any) -> dict[str, Any]:
  return {
    'shape': [str(n) if i == 0 else int(n) for i, n in enumerate(aval.shape)],
    'dtype': str(aval.dtype),
  }
