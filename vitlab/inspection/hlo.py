"""A compiled program as XLA prints it: instructions, what runs how often, what reads what."""

import collections
import re
from collections.abc import Iterator
from typing import NamedTuple

_COMPUTATION = re.compile(r'(?:ENTRY )?%?([\w.-]+) \(.*\{$')
_INSTRUCTION = re.compile(
  r'\s+(?P<root>ROOT )?%?(?P<name>[\w.-]+) = (?P<type>.+?) (?P<op>[a-z][\w-]*)\((?P<rest>.*)'
)
_CALLED = re.compile(r'(?:calls|to_apply|body|condition|\w+_computations?)=(\{[^}]*\}|%?[\w.-]+)')
_TURNS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
# The same array in another form.
_FORMS = {'bitcast', 'copy', 'reshape', 'transpose', 'convert'}
# The same, or a part of it.
_MOVES = _FORMS | {'dynamic-slice', 'slice'}


class Instruction(NamedTuple):
  """`name = type op(operands), attributes`.

  Attributes:
    name: In its computation.
    type: 'f32[8,3]{1,0}', or a tuple of such.
    op: 'all-reduce'.
    operands: Names; of a parameter, its number.
    attributes: All that follows.
    is_root: Whether it is what its computation gives.
  """

  name: str
  type: str
  op: str
  operands: list[str]
  attributes: str
  is_root: bool

  @property
  def called(self) -> list[str]:
    """The computations that it runs or applies."""
    return [
      name for one in _CALLED.findall(self.attributes) for name in re.findall(r'[\w.-]+', one)
    ]


class Computation(NamedTuple):
  """Its instructions by name, and those that have a name among their operands."""

  instructions: dict[str, Instruction]
  users: dict[str, list[Instruction]]

  def part(self, name: str, index: int) -> str:
    """The name of one of a tuple's arrays; of an array its own. '' where it is not read."""
    if not self.instructions[name].type.startswith('('):
      return name
    # Each is taken out at most once: XLA merges equal instructions.
    taken = (one for one in self.users[name] if f'index={index},' in f'{one.attributes},')
    return next((one.name for one in taken), '')


class Program:
  """A module of HLO.

  Args:
    text: As `jax.stages.Compiled.as_text` gives it.
  """

  def __init__(self, text: str):
    self._computations: dict[str, Computation] = {}
    self._entry = ''
    current = Computation({}, {})
    for line in re.sub(r'/\*.*?\*/', '', text).splitlines():
      if header := _COMPUTATION.match(line):
        current = Computation({}, collections.defaultdict(list))
        self._computations[header[1]] = current
        self._entry = header[1] if line.startswith('ENTRY') else self._entry
      elif found := _INSTRUCTION.match(line):
        operands, _, attributes = found['rest'].partition(')')
        one = Instruction(
          *found.group('name', 'type', 'op'),
          re.findall(r'[\w.-]+', operands),
          attributes,
          bool(found['root']),
        )
        current.instructions[one.name] = one
        for operand in dict.fromkeys(one.operands):
          current.users[operand].append(one)

  def executed(self) -> Iterator[tuple[Computation, Instruction, int]]:
    """Every instruction with how often it runs: a loop of unknown length once, all branches."""
    yield from self._executed(self._entry, 1)

  def _executed(self, name: str, times: int) -> Iterator[tuple[Computation, Instruction, int]]:
    computation = self._computations[name]
    for one in computation.instructions.values():
      yield computation, one, times
      if one.op in ('while', 'call', 'conditional', 'async-start'):
        turns = _TURNS.search(one.attributes)
        for called in one.called:
          yield from self._executed(called, times * int(turns[1] if turns else 1))

  def readers(self, computation: Computation, name: str) -> Iterator[Instruction | None]:
    """What reads a value, in whatever form and fusion; None: it is what the computation gives."""
    if computation.instructions[name].is_root:
      yield None
    for user in computation.users[name]:
      if user.op in _FORMS:
        yield from self.readers(computation, user.name)
      elif user.op == 'fusion':
        fused = self._computations[user.called[0]]
        for number in (str(i) for i, operand in enumerate(user.operands) if operand == name):
          inputs = (one for one in fused.users[number] if one.op == 'parameter')
          for reader in self.readers(fused, next(inputs).name):
            yield from [reader] if reader else self.readers(computation, user.name)
      else:
        yield user

  def is_narrow(self, computation: Computation, name: str) -> bool:
    """Whether a value had 16 bits before it was brought into this form."""
    one = computation.instructions[name]
    while not one.type.startswith(('bf16', 'f16')):
      if one.op == 'fusion':
        fused = self._computations[one.called[0]]
        inner = next(root for root in fused.instructions.values() if root.is_root)
        while inner.op in _MOVES:
          inner = fused.instructions[inner.operands[0]]
          if inner.type.startswith(('bf16', 'f16')):
            return True
        if inner.op != 'parameter':
          return False
        one = computation.instructions[one.operands[int(inner.operands[0])]]
      elif one.op in _MOVES:
        one = computation.instructions[one.operands[0]]
      else:
        return False
    return True
