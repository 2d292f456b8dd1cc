"""How the programs of four models scale from 1 to 256 devices: memory, communication, time.

  python experiments/scaling/run.py                # half an hour on 2 cores; prints the tables
  python experiments/scaling/run.py --only=vit_b   # one model

Every row is one `launch.py --mode=inspect`, whose numbers stay in --folder: what is there is not
compiled again.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from vitlab.inspection import chips  # noqa: E402
from vitlab.inspection.collectives import Collective  # noqa: E402


class Model(NamedTuple):
  """One that is scaled.

  Attributes:
    title: For people.
    config: File and argument.
    rows: Examples of a device that shares none of its batch.
    sums: What tensor parallelism sums: values of an example, and how often in a step.
    flags: Beside those that all have.
  """

  title: str
  config: str
  rows: int
  sums: Sequence[tuple[int, int]]
  flags: Sequence[str] = ()


# Blocks are compiled once and looped over; augmentation, which sends nothing, is left out.
PICTURES = ('--config.model.scan=True', '--config.task.augment=')
# A block sums twice forwards, behind attention and mlp, and twice backwards, before them; a decoder
# once more each way, and once for the gradient of what it reads.
MODELS = {
  'vit_b': Model(
    'ViT-B/16', 'configs/vit_s16_imagenet.py:variant=B/16', 128, [(196 * 768, 48)], PICTURES
  ),
  'vit_l': Model(
    'ViT-L/16', 'configs/vit_s16_imagenet.py:variant=L/16', 64, [(196 * 1024, 96)], PICTURES
  ),
  'swin_b': Model(
    'Swin-B',
    'configs/swin_t_imagenet.py:variant=B',
    64,
    [(56**2 * 128, 8), (28**2 * 256, 8), (14**2 * 512, 72), (7**2 * 1024, 8)],
    PICTURES,
  ),
  'transformer_big': Model(
    'Transformer-big', 'configs/transformer_wmt14.py:variant=big', 64, [(128 * 1024, 24 + 42)]
  ),
}
FSDP = {n: dict(data=1, fsdp=n, model=1) for n in (1, 8, 16, 64, 256)}
LAYOUTS = (
  dict(data=8, fsdp=1, model=1),
  FSDP[8],
  dict(data=1, fsdp=4, model=2),
  dict(data=2, fsdp=2, model=2),
  dict(data=8, fsdp=8, model=1),
)
CHIPS = ('h100', 'v5p')


def inspected(name: str, mesh: Mapping[str, int], folder: pathlib.Path) -> dict[str, Any]:
  """What the launcher finds, from the folder if it is there."""
  model, devices = MODELS[name], math.prod(mesh.values())
  path = folder / f'{name}_{"_".join(map(str, mesh.values()))}.json'
  if not path.exists():
    command = [sys.executable, 'launch.py', '--mode=inspect', f'--config={model.config}']
    command += [f'--config.mesh.{axis}={size}' for axis, size in mesh.items()]
    # Long enough for any warm-up, whatever the batch.
    command += ['--config.duration=1000000 steps', *model.flags]
    command += [f'--config.batch_size={model.rows * devices // mesh["model"]}']
    command += [f'--topology={CHIPS[0]}:{devices}', f'--output={path.absolute()}']
    print(' '.join(command), file=sys.stderr, flush=True)
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
  return json.loads(path.read_text())


def scaling(name: str, folder: pathlib.Path) -> list[str]:
  """Weak scaling under FSDP: the batch of a device stays."""
  head = 'devices|state MB|state x devices / one|temporaries GB|sent MB|theory MB|ratio|compute ms'
  head = [*head.split('|'), *(f'{chip}: communication ms, share' for chip in CHIPS)]
  rows, alone = [], None
  for devices, mesh in FSDP.items():
    found = inspected(name, mesh, folder)
    state = sum(found['state_bytes'].values())
    alone = alone or state
    sent, least = sum(row['bytes'] for row in found['sent']), found['least_sent']
    row = [devices, f'{state / 1e6:,.1f}', f'{state * devices / alone:.3f}']
    row += [f'{found["memory"]["temporaries"] / 1e9:.2f}', f'{sent / 1e6:,.1f}']
    row += [f'{least / 1e6:,.1f}', f'{sent / least:.3f}' if least else '']
    row += [f'{1000 * _compute(found, CHIPS[0]):.1f}']
    rows.append([*row, *(_share(found, mesh, chip) for chip in CHIPS)])
  return table(head, rows)


def layouts(folder: pathlib.Path, names: Sequence[str]) -> list[str]:
  """Other meshes: what they hold and send along each axis."""
  head = 'model|mesh|state MB|temporaries GB|sent MB: data, fsdp|theory|ratio|model|theory|ratio'
  rows = []
  for name in names:
    for mesh in LAYOUTS:
      found = inspected(name, mesh, folder)
      sums = sum(row['bytes'] for row in found['sent'] if row['axes'] == 'model')
      rest = sum(row['bytes'] for row in found['sent']) - sums
      text = ', '.join(f'{axis} {size}' for axis, size in mesh.items() if size > 1)
      state = sum(found['state_bytes'].values())
      row = [MODELS[name].title, text, f'{state / 1e6:,.1f}']
      row += [f'{found["memory"]["temporaries"] / 1e9:.2f}']
      rows.append(row + _against(rest, found['least_sent']) + _against(sums, _sums(name, mesh)))
  return table(head.split('|'), rows)


def _sums(name: str, mesh: Mapping[str, int]) -> float:
  """Bytes that tensor parallelism must send: all-reduces of bfloat16."""
  parallel, rows = mesh['model'], MODELS[name].rows
  values = sum(size * times for size, times in MODELS[name].sums)
  return 2 * (parallel - 1) / parallel * 2 * rows * values


def _against(sent: float, theory: float) -> list[str]:
  ratio = f'{sent / theory:.3f}' if theory else ''
  return [f'{sent / 1e6:,.1f}', f'{theory / 1e6:,.1f}', ratio]


def _compute(found: Mapping[str, Any], chip: str) -> float:
  """Seconds of the matmuls of a device at the chip's full rate."""
  devices = math.prod(found['mesh'].values())
  rate = {'bfloat16': chips.CHIPS[chip].bfloat16, 'float32': chips.CHIPS[chip].float32}
  return sum(n / rate[dtype] for dtype, n in found['step_flops'].items()) / devices


def _share(found: Mapping[str, Any], mesh: Mapping[str, int], chip: str) -> str:
  """Communication of a mesh that is all FSDP, and its share where nothing overlaps."""
  group, links = tuple(range(mesh['fsdp'])), chips.CHIPS[chip].links
  rows = [Collective(x['kind'], x['axes'], group, x['bytes'], 1, '', '') for x in found['sent']]
  seconds, compute = sum(row.seconds(links) for row in rows), _compute(found, chip)
  return f'{1000 * seconds:.2f}, {seconds / (seconds + compute):.1%}'


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
  """In Markdown."""
  lines = [head, ['---'] * len(head), *rows]
  return [f'| {" | ".join(map(str, line))} |' for line in lines]


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument('--only', choices=MODELS)
  parser.add_argument('--folder', type=pathlib.Path, default=ROOT / 'runs' / 'scaling')
  options = parser.parse_args()
  options.folder.mkdir(parents=True, exist_ok=True)
  names = [options.only] if options.only else list(MODELS)
  for name in names:
    model = MODELS[name]
    print(f'\n**{model.title}**, {model.rows} examples a device\n', flush=True)
    print('\n'.join(scaling(name, options.folder)), flush=True)
  print('\n' + '\n'.join(layouts(options.folder, names)))


if __name__ == '__main__':
  main()
