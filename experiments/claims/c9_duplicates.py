"""C9: whether DETR needs non-maximum suppression, by experiments/detection/no_nms.py."""

from experiments.claims import drawing, trainings
from experiments.claims.frame import Found, interval, measured, select
from experiments.detection.no_nms import NONE, OVERLAPS, OWN
from experiments.detection.no_nms import measured as suppressed
from vitlab.sweep.points import seeds

TITLE = 'DETR needs no suppression'
SENTENCE = (
  'DETR gives every object to one query and needs no non-maximum suppression; detectors with '
  'anchors or cells answer many times for each (Carion et al. 2020, arXiv:2005.12872).'
)
PREDICTIONS = (
  'The best of seven suppressions adds at most one point of AP to what DETR answers by itself.',
  'And at most one point of AP50.',
  'Without suppression Faster R-CNN and YOLOX each lose at least 20 points of the AP of their '
  'own answers, in every run.',
)
METHOD = (
  'Digits scattered over grey pictures; the small detectors of configs/*_digits.py as they are. '
  'All candidates of each, suppressed where boxes of a class overlap by more than so much, or '
  'not at all (experiments/detection/no_nms.py).'
)
DETECTORS = {'detr': 'DETR', 'faster_rcnn': 'Faster R-CNN', 'yolo': 'YOLOX'}


def run(place):
  smoke = place.pick(':smoke', '', '')
  changes = place.pick(['duration=10 steps'], [], [])
  rows = []
  for detector in DETECTORS:
    spec = f'{trainings.CONFIGS}/{detector}_digits.py{smoke}'
    found = trainings.trained(place, detector, spec, seeds(len(place.seeds)), changes)
    runs = {one.seed: one.folder for one in found}

    def measure(detector, seed, runs=runs):
      return dict(found=suppressed(runs[seed], None, 1000))

    rows += measured(place, [dict(detector=detector, seed=seed) for seed in runs], measure)
  return rows


def outcome(rows):
  gains = {
    metric: interval(
      100 * (max(row['found'][str(o)][metric] for o in OVERLAPS) - row['found'][OWN][metric])
      for row in select(rows, detector='detr')
    )
    for metric in ('ap', 'ap50')
  }
  lost = {
    detector: [
      100 * (row['found'][OWN]['ap'] - row['found'][NONE]['ap'])
      for row in select(rows, detector=detector)
    ]
    for detector in ('faster_rcnn', 'yolo')
  }
  shown = ', '.join(f'{DETECTORS[d]} {interval(x).text()}' for d, x in lost.items())
  return [
    Found(gains['ap'].mean <= 1, f'it adds {gains["ap"].text(".1f")} points of AP'),
    Found(gains['ap50'].mean <= 1, f'it adds {gains["ap50"].text(".1f")} points of AP50'),
    Found(min(map(min, lost.values())) >= 20, f'they lose {shown} points'),
  ]


def draw(rows, figure):
  both = figure.subplots(1, 2, sharey=True)
  keys = [*map(str, OVERLAPS), NONE]
  places = [*OVERLAPS, 1.0]
  for axes, metric, name in zip(both, ('ap', 'ap50'), ('AP', 'AP50')):
    for number, (detector, label) in enumerate(DETECTORS.items()):
      mine = select(rows, detector=detector)
      y = [interval(100 * row['found'][key][metric] for row in mine) for key in [*keys, OWN]]
      drawing.line(axes, places, y[:-1], number, label)
      drawing.line(axes, [1.12], y[-1:], number)
    axes.set_xticks([*places, 1.12], [*keys, 'own'], rotation=45)
    axes.set(xlabel='suppressed from an overlap of', title=f'{name}, %', ylim=(0, 102))
  handles, labels = both[0].get_legend_handles_labels()
  figure.legend(handles, labels, loc='outside upper center', ncols=3)
