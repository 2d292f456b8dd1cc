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
from collections.abc import Callable, Mapping, Sequence
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
    call: arrays -> arrays, compiled at the first call for each batch size.
    facts: The JSON file: what was given to `save`, and the shapes and types of `input`, a list
      where there are several, and `output`.
  """

  call: Callable[[Any], Array]
  facts: Mapping[str, Any]

  def __call__(self, *arrays: Shaped[np.ndarray | Array, 'b ...']) -> Any:
    wanted = _inputs(self.facts)
    given = [_describe(array) for array in arrays]
    if [one | dict(shape=one['shape'][1:]) for one in given] != [
      one | dict(shape=one['shape'][1:]) for one in wanted
    ]:
      raise UserError(f'given {_said(given)}, but the exported function takes {_said(wanted)}')
    if not len(arrays[0]):
      raise UserError(
        'given 0 rows, but the exported function takes one or more: leave out the call'
      )
    return self.call(*arrays)


def save(
  path: str | pathlib.Path,
  function: Callable[..., Any],
  example: jax.ShapeDtypeStruct | tuple[jax.ShapeDtypeStruct, ...],
  facts: Mapping[str, Any],
) -> pathlib.Path:
  """Writes `<path>` and, beside it, `<path>.json`.

  Args:
    path: Its folder is made.
    function: Array -> array, or several -> arrays by name, all with the batch as first axis; what
      it closes over is stored.
    example: Shape and type of the input, or of each; the size of its first axis does not matter.
    facts: Anything JSON can hold, for whoever uses the file.

  Returns:
    The path.
  """
  (batch,) = jax_export.symbolic_shape('b')
  examples = example if isinstance(example, tuple) else (example,)
  arguments = [jax.ShapeDtypeStruct((batch, *one.shape[1:]), one.dtype) for one in examples]
  exported = jax_export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(exported.serialize())
  inputs = [_describe(aval) for aval in exported.in_avals]
  described = {
    **facts,
    'input': inputs if isinstance(example, tuple) else inputs[0],
    'output': exported.out_tree.unflatten([_describe(aval) for aval in exported.out_avals]),
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
    wanted = [jax.ShapeDtypeStruct((1, *x['shape'][1:]), x['dtype']) for x in _inputs(facts)]
    call = jax.jit(jax_export.deserialize(bytearray(path.read_bytes())).call)
    if _is_newer(facts):  # what it cannot read JAX would say at the first call
      call.lower(*wanted)
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


def _inputs(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
  return facts['input'] if isinstance(facts['input'], list) else [facts['input']]


def _describe(array: Any) -> dict[str, Any]:
  return {
    'shape': [str(n) if i == 0 else int(n) for i, n in enumerate(array.shape)],
    'dtype': str(array.dtype),
  }


def _said(described: Sequence[Mapping[str, Any]]) -> str:
  """'uint8[b, 4, 4, 1]'."""
  return ' and '.join(f'{x["dtype"]}[{", ".join(map(str, x["shape"]))}]' for x in described)
