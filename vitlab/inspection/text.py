"""An inspection as people read it in a terminal."""

from collections.abc import Mapping, Sequence

from vitlab.inspection import chips
from vitlab.inspection.compiled import Inspection
from vitlab.lines import visible
from vitlab.train.memory import megabytes
from vitlab.train.progress import duration


def render(found: Inspection) -> str:
  """The inspection for a terminal."""
  mesh = ', '.join(f'{axis} {size}' for axis, size in found.mesh.items())
  links = found.chip.links
  facts = {
    'devices': f'{found.devices}; mesh {mesh}',
    'parameters': f'{found.num_parameters:,}',
    'state': _join({part: megabytes(n) for part, n in found.state_bytes.items() if n}, 'a device'),
    'memory': _memory(found),
    'forward pass': f'{found.forward_macs / 1e9:.4g} GMAC an example',
    'training step': _work(found),
    'communication': _communication(found) if found.sent else '',
    'time': _time(found),
    'chip': f'{_join(_chip(found.chip))} ({found.chip.source})',
    'links': f'{_speed(links.speed)} a device each way among {links.domain:,}, '
    f'{_speed(links.network)} beyond ({links.source})',
  }
  if not found.sent:
    del facts['communication'], facts['links']
  width = max(map(len, facts))
  facts = [f'{key.ljust(width)}  {text}' for key, text in facts.items()]
  tables = [_parameters(found), *([_traffic(found)] if found.sent else []), facts]
  return '\n\n'.join('\n'.join(lines) for lines in tables)


def _parameters(found: Inspection) -> list[str]:
  rows = [('parameter', 'shape', 'sharding', 'MB a device')]
  for one in found.parameters:
    copies = f'{one.copies} x ' if one.copies > 1 else ''
    shape = f'{copies}{one.dtype}[{", ".join(map(str, one.shape))}]'
    megabytes = f'{one.copies * one.bytes_per_device / 1e6:.3f}'
    rows.append((one.name, shape, one.sharding, megabytes))
  return _table(rows)


def _traffic(found: Inspection) -> list[str]:
  rows = [('collective', 'along', 'arrays a step', 'MB sent by a device')]
  for one in found.sent:
    rows.append((one.kind, one.axes, f'{one.times:,}', f'{one.bytes / 1e6:.3f}'))
  return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
  """Columns under each other; numbers, in the last ones, to the right."""
  rows = [[visible(cell) for cell in row] for row in rows]
  widths = [max(map(len, column)) for column in zip(*rows)]
  numbers = [all(cell[:1].isdigit() for cell in column) for column in zip(*rows[1:])]
  return [
    '  '.join(
      cell.rjust(width) if number else cell.ljust(width)
      for cell, width, number in zip(row, widths, numbers)
    ).rstrip()
    for row in rows
  ]


def _communication(found: Inspection) -> str:
  sent, parts = sum(one.bytes for one in found.sent), found.seconds
  share = parts['communication'] / (parts['compute'] + parts['communication'])
  return (
    f'a device sends {megabytes(sent)} a step and receives as much (parameters and gradients need '
    f'{megabytes(found.least_sent)}); {1000 * parts["communication"]:.3g} ms beside '
    f'{1000 * parts["compute"]:.3g} ms of compute, {share:.1%} of both'
  )


def _memory(found: Inspection) -> str:
  parts = dict(found.memory)
  peak, capacity = parts.pop('peak'), found.chip.memory
  parts = {name: megabytes(size) for name, size in parts.items() if size}
  verdict = 'fits' if peak <= capacity else 'DOES NOT FIT'
  if 'simulated' in found.devices:
    verdict = f'compiled for CPU, an upper estimate, it {verdict}'
  return (
    f'{megabytes(peak)} a device at its peak ({_join(parts)}): {verdict} in '
    f'{megabytes(capacity)}, {peak / capacity:.1%}'
  )


def _work(found: Inspection) -> str:
  work = ' + '.join(f'{n / 1e12:.4g} TFLOP in {dtype}' for dtype, n in found.step_flops.items())
  moved = megabytes(found.bytes_moved)
  return f'{work or "0 TFLOP"} over all devices; a device moves {moved} of memory'


def _time(found: Inspection) -> str:
  """Matmuls alone at the data sheet's rate are the least; unfused memory traffic is too much."""
  parts = dict(found.seconds)
  step = parts.pop('step')
  parts = {name: f'{1000 * seconds:.3g}' for name, seconds in parts.items() if seconds}
  return (
    f'roofline estimate: {1000 * step:.3g} ms a step ({_join(parts)}), '
    f'{found.batch_size / step:,.0f} examples/s, '
    f'{duration(step * found.steps)} for {found.steps:,} steps'
  )


def _chip(chip: chips.Chip) -> dict[str, str]:
  return {
    'bfloat16': f'{chip.bfloat16 / 1e12:.4g} TFLOP/s',
    'float32': f'{chip.float32 / 1e12:.4g} TFLOP/s',
    'memory': megabytes(chip.memory),
    'bandwidth': _speed(chip.bandwidth),
  }


def _speed(rate: float) -> str:
  return f'{rate / 1e9:,.4g} GB/s'


def _join(parts: Mapping[str, str], unit: str = '') -> str:
  return ', '.join(f'{name} {text}' for name, text in parts.items()) + (f' {unit}' if unit else '')
