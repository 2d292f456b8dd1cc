"""Claims that are told of attention, measured.

  python experiments/claims/run.py                 # all, within three hours of one processor
  python experiments/claims/run.py --only=c4,c6    # some of them
  python experiments/claims/run.py --full          # larger; --data=FOLDER adds Fashion-MNIST
  python experiments/claims/run.py --tiny          # minutes: whether everything runs

What is there is not measured again: the same command goes on after a kill. Results lie in
runs/claims/SIZE/CLAIM/, the page in runs/claims/SIZE/claims.html; --draw only draws what is there.
"""

import argparse
import importlib
import json
import pathlib
import resource
import sys
import time
from types import ModuleType

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments.claims import drawing, frame, page  # noqa: E402
from vitlab.errors import UserError, unknown  # noqa: E402
from vitlab.hosts import machine  # noqa: E402

CLAIMS = {
  'c1': 'c1_long_rows',
  'c2': 'c2_parallel',
  'c3': 'c3_data_size',
  'c4': 'c4_quadratic',
  'c5': 'c5_norms',
  'c6': 'c6_heads',
  'c7': 'c7_depth',
  'c8': 'c8_overfitting',
  'c9': 'c9_duplicates',
  'c10': 'c10_distance',
  'convolution': 'convolution',
}
OUTCOME, SESSIONS = 'outcome.json', 'sessions.jsonl'


def main(arguments: list[str] | None = None) -> int:
  options = _parser().parse_args(arguments)
  try:
    _run(options)
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  return 0


def _run(options: argparse.Namespace) -> None:
  """Claim after claim; the page is there from the first on."""
  names = _chosen(options.only)
  _check(options)
  size = 'tiny' if options.tiny else 'full' if options.full else 'small'
  folder = options.output / size
  for name in names:
    place = frame.Place(size, folder / name, options.data, options.slots)
    if not options.draw:
      _measure(name, place)
    elif (place.folder / OUTCOME).exists():
      _draw(name, place, _claim(name).run(place))
    _write(folder, size)
  print(folder / 'claims.html')


def _parser() -> argparse.ArgumentParser:
  style = argparse.RawDescriptionHelpFormatter
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
  sizes = parser.add_mutually_exclusive_group()
  sizes.add_argument('--tiny', action='store_true', help='minutes, says nothing')
  sizes.add_argument('--full', action='store_true', help='hours')
  parser.add_argument('--only', default='', help='names of claims: c4,c6')
  parser.add_argument('--data', default='', help="folder of pictures in MNIST's format")
  parser.add_argument('--slots', type=int, default=1, help='trainings at once')
  parser.add_argument('--draw', action='store_true', help='draw again what is there')
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/claims'))
  return parser


def _chosen(only: str) -> list[str]:
  names = [name.strip() for name in only.split(',') if name.strip()]
  for name in names:
    if name not in CLAIMS:
      raise unknown('claim', name, CLAIMS)
  return [name for name in CLAIMS if name in names or not names]


def _check(options: argparse.Namespace) -> None:
  if options.data and not options.full:
    raise UserError('--data is of the larger experiments: add --full')
  if options.data and not pathlib.Path(options.data).exists():
    raise UserError(f'--data={options.data}: there is no such folder')


def _claim(name: str) -> ModuleType:
  return importlib.import_module(f'experiments.claims.{CLAIMS[name]}')


def _measure(name: str, place: frame.Place) -> None:
  """Runs a claim, or goes on with it, and draws it; its time is kept however it ends."""
  before, start = _processors(), time.time()
  try:
    _draw(name, place, _claim(name).run(place))
  finally:
    place.folder.mkdir(parents=True, exist_ok=True)
    with (place.folder / SESSIONS).open('a') as file:
      took = dict(processors=_processors() - before, seconds=time.time() - start)
      file.write(json.dumps(took) + '\n')


def _draw(name: str, place: frame.Place, rows: list[frame.Row]) -> None:
  claim = _claim(name)
  found = claim.outcome(rows)
  with drawing.sheet(place.folder / 'figure', name, getattr(claim, 'HEIGHT', 3.2)) as figure:
    claim.draw(rows, figure)
  (place.folder / OUTCOME).write_text(json.dumps(found))
  print(f'\n{name}  {claim.TITLE}: {frame.verdict(found)}')
  for prediction, one in zip(claim.PREDICTIONS, found, strict=True):
    print(f'  {"+" if one.holds else "-"} {prediction}\n    {one.text}')


def _write(folder: pathlib.Path, size: str) -> None:
  """The page, of all claims that have an outcome, of the predictions that they make now."""
  told, missing = [], []
  for name in CLAIMS:
    place = folder / name
    file = place / OUTCOME
    found = [frame.Found(*one) for one in json.loads(file.read_text())] if file.exists() else []
    if len(found) != len(_claim(name).PREDICTIONS):
      missing.append(_claim(name))
      continue
    sessions = frame.stored(place / SESSIONS)
    seconds = sum(row['processors'] for row in sessions)
    figure = (place / 'figure.svg').read_text()
    told.append(page.Told(name, _claim(name), found, figure, seconds))
  page.write(folder / 'claims.html', told, missing, size)


def _processors() -> float:
  """Seconds of processors that this process and its children have taken."""
  used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
  return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == '__main__':
  machine.ask_for_huge_pages()  # as launch.py does: times are those that a training would have
  machine.prepare()
  sys.exit(main())
