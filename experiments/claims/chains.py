"""How many matrix products of a program wait for one another, whatever machine it runs on."""

from collections.abc import Sequence

from jax.extend import core

PRODUCTS = ('dot_general', 'conv_general_dilated')


def chain(program: core.ClosedJaxpr) -> int:
  """The longest chain of products; a `scan` counts as often as it turns, a `while` once."""
  return max(_outputs(program.jaxpr, [0] * len(program.jaxpr.invars)), default=0)


def _outputs(jaxpr: core.Jaxpr, inputs: Sequence[int]) -> list[int]:
  """How long the chains are that end in each output, by those that end in each input."""
  known = dict(zip(jaxpr.invars, inputs))

  def length(atom) -> int:
    return 0 if isinstance(atom, core.Literal) else known.get(atom, 0)

  for equation in jaxpr.eqns:
    before = [length(atom) for atom in equation.invars]
    known.update(zip(equation.outvars, _after(equation, before)))
  return [length(atom) for atom in jaxpr.outvars]


def _after(equation: core.JaxprEqn, before: Sequence[int]) -> list[int]:
  """Of one equation."""
  name, count = equation.primitive.name, len(equation.outvars)
  if name == 'scan':
    return _scan(equation.params, before)
  bodies = [body for body in map(_body, equation.params.values()) if body is not None]
  bodies += [_body(branch) for branch in equation.params.get('branches', ())]
  if not bodies:
    return [max(before, default=0) + (name in PRODUCTS)] * count
  found = []
  for body in bodies:
    fits = len(body.invars) == len(before)
    inputs = before if fits else [max(before, default=0)] * len(body.invars)
    found.append(_outputs(body, inputs))
  whole = [each for each in found if len(each) == count]
  return (
    list(map(max, *whole))
    if len(whole) > 1
    else whole[0]
    if whole
    else [max(map(max, found))] * count
  )


def _scan(params: dict, before: Sequence[int]) -> list[int]:
  """From the second turn on every turn makes the chains longer by as much."""
  constants, carries, length = params['num_consts'], params['num_carry'], params['length']
  body = params['jaxpr'].jaxpr
  fixed, carry = list(before[:constants]), list(before[constants : constants + carries])
  each, turns = list(before[constants + carries :]), []
  for _ in range(min(length, 3)):
    turns.append(_outputs(body, [*fixed, *carry, *each]))
    carry = turns[-1][:carries]
  more = max((b - a for a, b in zip(turns[-2][:carries], carry)), default=0) if length > 1 else 0
  return [x + more * max(0, length - 3) for x in turns[-1]]


def _body(value) -> core.Jaxpr | None:
  """The program within a parameter of an equation."""
  if isinstance(value, core.ClosedJaxpr):
    return value.jaxpr
  return value if isinstance(value, core.Jaxpr) else None
