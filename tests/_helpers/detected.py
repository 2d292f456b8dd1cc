"""What a run of detection leaves for its report: answers made up near the truth of pictures."""

import functools
import json
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vitlab import workdir
from vitlab.data.sets import scattered_digits
from vitlab.evaluators import average_precision
from vitlab.ops.boxes import Detections
from vitlab.predict.trained import Trained
from vitlab.report.detection.collected import Answers, Look, Pictures, Seen, picture
from vitlab.tasks import detection as task_lib

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
    seen.append(Seen(f'picture {index}', image, (side, side), clean, given, look))
  images = {i: picture(source[i]) for i in found['worst_index'].tolist()}
  return Pictures(images, seen)


def write(folder: pathlib.Path, seed: int = 0, **changes: Any) -> pathlib.Path:
  """The workdir of a finished run."""
  folder.mkdir(parents=True)
  workdir.write_json(folder / workdir.CONFIG, CONFIG | changes)
  rows = [
    {'step': 2, 'train/loss': 4.5, 'train/rematched': 0.6},
    {'step': 4, 'train/loss': 2.5, 'train/rematched': 0.25, 'test/ap50': 0.5},
  ]
  (folder / workdir.METRICS).write_text(''.join(json.dumps(row) + '\n' for row in rows))
  workdir.write_json(folder / workdir.FACTS, dict(dataset().facts))
  workdir.write_details(folder, 'test', details(seed=seed))
  return folder


SHARES = np.array([[0.5, 0.5, 0.2, 0.4], [0.2, 0.3, 0.4, 0.6], [0.25, 0.3, 0.4, 0.6]], np.float32)


class Asking(nn.Module):
  """Three queries with boxes of their own, of which the first is the least sure; two overlap."""

  queries: bool = True

  @nn.compact
  def __call__(self, image, size, train=False, objects=None):
    b, h, w, _ = image.shape
    self.param('nothing', nn.initializers.zeros, (1,))
    places = h // 8 * (w // 8)
    out = dict(levels=[jnp.zeros((b, h // 8, w // 8, 1))])
    if self.queries:
      weights = jnp.arange(3.0)[:, None] + jnp.zeros((b, 2, 3, places))
      own = jnp.arange(places)[:, None] + jnp.zeros((b, 2, places, places))
      boxes = jnp.tile(jnp.asarray(SHARES), (b, 2, 1, 1))
      out |= dict(boxes=boxes, cross_attention=[weights] * 2, attention=[own] * 2)
    return out

  @nn.nowrap
  def detect(self, out, size, suppress=True):
    b = out['levels'][0].shape[0]
    x, y, w, h = jnp.moveaxis(jnp.asarray(SHARES)[jnp.array([2, 1, 0, 0])], -1, 0)
    shares = jnp.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)
    boxes = shares * jnp.tile(size[:, None, ::-1], 2)
    last = 1 if suppress else 2  # without suppression, the second one as well
    scores = jnp.tile(jnp.array([0.9, 0.8 * (last - 1), 0.3, 0.0]), (b, 1))
    return Detections(boxes, scores, jnp.where(scores > 0, jnp.array([4, 4, 5, 5]), -1))


def trained(queries: bool = True) -> Trained:
  """A model of `Asking`, which sees pictures of up to 32 x 64 pixels."""
  task = task_lib.make(Asking(queries))
  facts = dict(dataset().facts) | dict(image=dict(image_size=(32, 64), channels=1))
  batch = dict(image=jnp.zeros((1, 32, 64, 1), jnp.uint8), size=jnp.array([[32, 64]]))
  return Trained('', 0, ConfigDict(CONFIG), facts, task, task.init(jax.random.key(0), batch))
