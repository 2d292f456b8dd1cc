"""Facts: what a data set says of itself by name, such as num_classes; they travel with weights.

`vitlab.data.Dataset` lists them. What a spec leaves open, None, they fill in.
"""

from collections.abc import Mapping
from typing import Any

from vitlab import registry
from vitlab.errors import UserError


def fill(
  spec: Mapping[str, Any], facts: Mapping[str, Any], where: str, folder: str = ''
) -> dict[str, Any]:
  """A spec whose values of None, at any depth, are the facts of the same names.

  Args:
    spec: A component of a config, or a part of one.
    facts: The facts of the data set.
    where: The place of the spec in the config, for the message.
    folder: The folder of the component, as for `vitlab.registry.make`; '' for what is none.

  Raises:
    UserError: a keyword is None, not among the facts, and the component has no use for None.
  """
  defaults = registry.keywords(folder, spec['name']) if folder and 'name' in spec else {}
  filled = {}
  for key, value in spec.items():
    if isinstance(value, Mapping):
      value = fill(value, facts, f'{where}.{key}', registry.PARTS.get(key, ''))
    elif value is None:
      value = facts.get(key)
      if value is None and defaults.get(key) is not None:
        raise UserError(
          f'config.{where}.{key} is None, to be filled from the weights of init_from or from the '
          f'data, whose facts are {", ".join(sorted(facts)) or "none"}'
          '\ngive it a value, or take weights or data that say it'
        )
    filled[key] = value
  return filled
