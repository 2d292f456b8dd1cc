"""Trained models at work: what is done with one depends on its kind of learning.

`vitlab/predict/<task>.py`, named as the task is, has what its kind can do:

  run(trained, paths, options)               --mode=predict: prints, and writes `options.output`
  exported(trained) -> Program               --mode=export: what runs without the code of the model
  published(path, about, overrides)          task and facts of weights that somebody published
                    -> (task spec, facts)
  TAKES                                      which of the `OF_SOME` options mean something to it

A kind without one of them does without; `find` says so.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vitlab import registry
from vitlab.errors import UserError


class Options(NamedTuple):
  """The flags of --mode=predict.

  Attributes:
    output: File to write besides what is printed; '' for none.
    nbest: Number of answers to each input, where the kind has several.
    threshold: Lowest score of what is found; None: the kind's own.
    nms: Overlap above which the less sure one of two boxes is left out; None: as the model does.
    samples: Number of pictures drawn of each class; None: the kind's own.
  """

  output: str = ''
  nbest: int = 1
  threshold: float | None = None
  nms: float | None = None
  samples: int | None = None


DEFAULTS = Options()
OF_SOME = dict(threshold='detectors', nms='detectors', samples='what draws pictures')


class Program(NamedTuple):
  """A prediction as a function of arrays alone.

  Attributes:
    function: The input, whose first axis is the batch, or several -> predictions.
    example: Shape and dtype of an input of one row; a tuple of them where there are several.
    facts: What somebody needs who has nothing else, JSON-able: names of classes, ...
  """

  function: Callable[..., Any]
  example: Any
  facts: Mapping[str, Any]


def find(kind: str, name: str, what: str) -> Callable[..., Any]:
  """A function of the file of a kind of learning.

  Args:
    kind: The name of the task, see `vitlab.tasks.kind`.
    name: 'run', 'exported' or 'published'.
    what: What it is for, for the message.

  Raises:
    UserError: the kind has none.
  """
  module = registry.module('predict', kind) if kind in registry.names('predict') else None
  if not hasattr(module, name):
    raise UserError(
      f'the task {kind!r} has nothing for {what}: vitlab/predict/{kind}.py would have {name}(...)'
    )
  return getattr(module, name)


def check(kind: str, options: Options) -> None:
  """Raises UserError for an option that means nothing, or nothing to a kind of learning."""
  module = registry.module('predict', kind) if kind in registry.names('predict') else None
  for name, those in OF_SOME.items():
    value = getattr(options, name)
    if value is not None and name not in getattr(module, 'TAKES', ()):
      raise UserError(f'--{name}={value} is for {those}: the task of this model is {kind!r}')
    if isinstance(value, float) and not 0 <= value <= 1:  # NaN, too, which bounds of flags let by
      raise UserError(f'--{name}={value}: expected a number from 0 to 1')
