"""Who needs non-maximum suppression: average precision of trained detectors with and without it.

  python experiments/detection/no_nms.py runs/detr_small runs/yolo_small runs/faster_rcnn_small

Of every run: what its model answers by itself, then all its candidates, as they are and suppressed
at several overlaps. A model that is told to keep few answers loses true ones among its duplicates,
so up to `--candidates` are kept; 100 of a class in a picture count, as COCO counts. Data and split
are those of the run's first evaluator of average precision.

Leaves `no_nms.json` and `no_nms.png`, and prints a table.
"""

import argparse
import json
import pathlib
import sys

import jax
import matplotlib
from ml_collections import ConfigDict

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from vitlab import registry, workdir  # noqa: E402
from vitlab.evaluators import average_precision  # noqa: E402
from vitlab.report.run import short_names  # noqa: E402
from vitlab.train import evaluate, setup  # noqa: E402
from vitlab.workdir import model  # noqa: E402

OVERLAPS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
OWN, NONE = 'its own', 'none'
METRICS = dict(ap='AP', ap50='AP50')
matplotlib.use('Agg')


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('workdirs', nargs='+', type=pathlib.Path)
  parser.add_argument('--split', help="by default that of the run's evaluator")
  parser.add_argument('--candidates', type=int, default=1000, help='of a picture')
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/no_nms'))
  values = parser.parse_args()
  values.output.mkdir(parents=True, exist_ok=True)
  found = {}
  paths = list(dict.fromkeys(folder.absolute() for folder in values.workdirs))
  for folder, name in zip(paths, short_names(paths)):
    found[name] = measured(folder, values.split, values.candidates)
    print(name, found[name], file=sys.stderr, flush=True)
  (values.output / 'no_nms.json').write_text(json.dumps(found, indent=1))
  show(found)
  draw(found, values.output / 'no_nms.png')


def measured(
  folder: pathlib.Path, split: str | None, candidates: int
) -> dict[str, dict[str, float]]:
  """Suppression -> metrics of a run."""
  config = workdir.stored_config(str(folder))
  specs = [one for one in config.evaluators.values() if one.name == 'average_precision']
  split = split or (specs[0].get('split', 'test') if specs else 'test')
  own, num_classes = rows(folder, config, 'detections', split)
  if 'max_detections' in registry.keywords('models', config.model.name):
    with config.unlocked():
      config.model.max_detections = candidates
  everything, _ = rows(folder, config, 'candidates', split)

  def metrics(read: list, nms_iou: float | None) -> dict[str, float]:
    evaluator = average_precision.make(num_classes, split, nms_iou=nms_iou)
    result = evaluator(lambda *_: iter(read)).metrics
    return {name: result[name] for name in METRICS}

  suppressed = {str(overlap): metrics(everything, overlap) for overlap in OVERLAPS}
  return {OWN: metrics(own, None)} | suppressed | {NONE: metrics(everything, None)}


def rows(folder: pathlib.Path, config: ConfigDict, name: str, split: str) -> tuple[list, int]:
  """What evaluators read of a run, and its number of classes."""
  _, _, variables = model.load(str(folder), config)
  experiment = setup.build(config)
  wanted = experiment.abstract_state.variables
  variables = jax.tree.map(lambda x, to: jax.device_put(x, to.sharding), variables, wanted)
  read = evaluate.predictions(experiment, variables)
  return list(read(name, split)), experiment.dataset.facts['num_classes']


def show(found: dict[str, dict[str, dict[str, float]]]) -> None:
  """A table: rows are runs, columns suppressions."""
  columns = [OWN, *map(str, OVERLAPS), NONE]
  print('| | ' + ' | '.join(columns) + ' |')
  print('|---' * (len(columns) + 1) + '|')
  for name, rows in found.items():
    for metric, word in METRICS.items():
      cells = [f'{100 * rows[column][metric]:.1f}' for column in columns]
      print(f'| {name}, {word} | ' + ' | '.join(cells) + ' |')


def draw(found: dict[str, dict[str, dict[str, float]]], path: pathlib.Path) -> None:
  """Average precision against the overlap that is suppressed, at the right end nothing."""
  from matplotlib import pyplot

  places = [*OVERLAPS, 1.0]
  figure, both = pyplot.subplots(1, 2, figsize=(10, 3.6), layout='constrained')
  for axes, (metric, word) in zip(both, METRICS.items()):
    for number, (name, rows) in enumerate(found.items()):
      values = [100 * rows[key][metric] for key in (*map(str, OVERLAPS), NONE)]
      axes.plot(places, values, 'o-', color=f'C{number}', label=name)
      axes.plot(1.08, 100 * rows[OWN][metric], 'D', color=f'C{number}', ms=7)
    ticks = dict(zip([*places, 1.08], [*map(str, OVERLAPS), 'none', 'own']))
    axes.set_xticks([*ticks], ticks.values())
    axes.set(xlabel='suppressed from an overlap of', ylabel=word, ylim=(0, 100))
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(alpha=0.3)
  both[0].legend(frameon=False, loc='lower left')
  figure.savefig(path, dpi=110)


if __name__ == '__main__':
  main()
