"""What a run of detection leaves for its report: answers made up near the truth of pictures."""

import functools
import pathlib
from typing import Any

import numpy as np

from vitlab import workdir
from vitlab.data.sets import scattered_digits
from vitlab.evaluators import average_precision
from vitlab.report.detection.collected import Answers, Look, Pictures, Seen, picture

CONFIG = dict(
  data=dict(name='scattered_digits', image_size=64, train=1, test=24),
  model=dict(name='detr', num_classes=10),
  task=dict(name='detection'),
  evaluators=dict(test=dict(name='average_precision', num_classes=10)),
)
SIDE, EVERY = 64, 6  # pixels; of so many objects one is missed, one taken for another, one doubled


@functools.cache
def dataset(side: int = SIDE, count: int = 24):
  return scattered_digits.make(image_size=side, train=1, test=count)


def answers(truth: Any, random: np.random.Generator) -> Answers:
  """What a middling detector says of one picture, with doubles that are to be suppressed."""
  rows = []
  for box, label in zip(truth.boxes, truth.classes):
    chance = random.integers(EVERY)
    if chance == 0:
      continue
    label = (label + 1) % 10 if chance == 1 else label
    score = random.uniform(0.3, 1)
    rows.append((box + random.normal(0, 1, 4), score, label, True))
    if chance == 2:
      rows.append((box + random.normal(0, 1, 4), score / 2, label, False))
  for _ in range(random.integers(3)):
    corner = random.uniform(0, 0.8 * SIDE, 2)
    rows.append((np.tile(corner, 2) + [0, 0, 9, 12], random.uniform(0, 0.6), 3, True))
  rows.sort(key=lambda row: -row[1])
  columns = zip(*rows) if rows else (np.zeros((0, 4)), [], [], [])
  boxes, scores, classes, kept = map(np.array, columns)
  return Answers(
    boxes.astype(np.float32), scores.astype(np.float32), classes.astype(int), kept.astype(bool)
  )


def details(side: int = SIDE, count: int = 24, seed: int = 0) -> dict[str, np.ndarray]:
  """What the evaluator makes of such answers."""
  source, random = dataset(side, count).splits['test'], np.random.default_rng(seed)

  def predictions(name, split):
    for i in range(count):
      found = answers(source.truth(i), random)
      batch = dict(index=[i], truth=[source.truth(i)], size=[source[i]['size']])
      yield {k: getattr(found, k)[None] for k in ('boxes', 'scores', 'classes')}, batch

  found = average_precision.make(10)(predictions).details
  return {key: np.asarray(value) for key, value in found.items()}


def pictures(
  found: dict[str, np.ndarray],
  side: int = SIDE,
  count: int = 24,
  grid: tuple[int, int] = (8, 8),
  heads: int = 4,
  queries: bool = True,
) -> Pictures:
  """The worst of them, and six that a detector was asked about; maps look at the boxes."""
  source, random = dataset(side, count).splits['test'], np.random.default_rng(1)
  seen = []
  for index in range(6):
    image, given = picture(source[index]), answers(source.truth(index), random)
    clean = Answers(*(column[given.kept] for column in given))
    look = None
    if queries:
      y, x = (np.arange(n) + 0.5 for n in grid)
      maps = random.uniform(0, 0.1, (3, heads, 10, *grid))
      for q, (x0, y0, x1, y1) in enumerate(clean.boxes * grid[0] / side):
        for h in range(heads):
          at = ((x0, y0), (x1, y1), (x0, y1), (x1, y0))[h % 4]
          maps[:, h, q] += np.exp(-((x - at[0]) ** 2) - (y[:, None] - at[1]) ** 2)
      cells = np.stack(np.meshgrid(y, x, indexing='ij'), -1).reshape(-1, 2)
      near = np.exp(-0.3 * np.square(cells[:, None] - cells).sum(-1)).reshape(-1, *grid)
      look = Look(np.arange(len(clean.scores)), maps, np.tile(near, (3, heads, 1, 1, 1)))
    seen.append(Seen(index, image, (side, side), clean, given, look))
  images = {i: picture(source[i]) for i in found['worst_index'].tolist()}
  return Pictures(images, seen)


def write(folder: pathlib.Path, seed: int = 0, **changes: Any) -> pathlib.Path:
  """The workdir of a finished run."""
  folder.mkdir(parents=True)
  workdir.write_json(folder / workdir.CONFIG, CONFIG | changes)
  (folder / workdir.METRICS).write_text('{"step": 4, "train/loss": 2.5, "test/ap50": 0.5}\n')
  workdir.write_json(folder / workdir.FACTS, dict(dataset().facts))
  workdir.write_details(folder, 'test', details(seed=seed))
  return folder
