"""Workdirs as the engine leaves them, made up, for the tests of the report."""

import json
import pathlib

import numpy as np

from vitlab import workdir
from vitlab.report.classification.look import Layer, Look
from vitlab.report.classification.pictures import Picture, Pictures

CONFIG = {
  'seed': 7,
  'duration': '40 epochs',
  'batch_size': 128,
  'microbatches': 1,
  'ema_decay': 0.0,
  'data': {'name': 'digits'},
  'train_split': 'train',
  'num_workers': 0,
  'max_corrupt': 0.01,
  'model': {'name': 'vit', 'patch_size': 2, 'width': 96, 'depth': 6, 'num_heads': 4},
  'task': {'name': 'classification', 'augment': 'random_crop(padding=1)|mixup(alpha=0.2)'},
  'optim': {'name': 'adamw', 'learning_rate': 0.002, 'schedule': 'cosine', 'b2': 0.999},
  'evaluators': {'test': {'name': 'classification', 'every': '2 epochs', 'split': 'test'}},
  'mesh': {'data': -1, 'fsdp': 1, 'model': 1},
  'sharding_rules': [],
  'checkpoint': {'every': '10%', 'keep': 2, 'best': 'test/accuracy', 'best_mode': 'max'},
}


def metrics(steps: int = 560, seed: int = 0, every: int = 10) -> list[dict]:
  """Rows of a run that learns, a little noisily."""
  random, rows = np.random.default_rng(seed), []
  for step in range(every, steps + 1, every):
    loss = 2.3 * np.exp(-5 * step / steps) + 0.08 + 0.1 * random.random() * np.exp(-step / steps)
    row = {
      'step': step,
      'train/loss': loss,
      'train/accuracy': np.exp(-loss / 2.3),
      'train/grad_norm': 1.5 * np.exp(-step / steps) + 0.4 * random.random(),
      'train/learning_rate': 0.002 * min(step / 60, 0.5 + 0.5 * np.cos(np.pi * step / steps)),
      'time/examples_per_second': 900 + 60 * random.random(),
    }
    if step % (4 * every) == 0 or step == steps:
      row |= {
        'test/accuracy': 1 - 0.88 * np.exp(-6 * step / steps) - 0.02 * random.random(),
        'test/loss': loss * 0.9 + 0.02 * random.random(),
        'test/ece': 0.02 + 0.05 * random.random(),
      }
    rows.append({key: value if key == 'step' else float(value) for key, value in row.items()})
  return rows


def details(classes: int = 10, examples: int = 360, seed: int = 0) -> dict[str, np.ndarray]:
  """What the classification evaluator leaves."""
  random = np.random.default_rng(seed)
  label = np.arange(examples) % classes
  wrong = random.random(examples) < 0.06
  predicted = np.where(wrong, random.integers(0, classes, examples), label)
  confusion = np.zeros((classes, classes), np.int64)
  np.add.at(confusion, (label, predicted), 1)
  confidence = 1 - random.random(examples) ** 3 / 2
  mistakes = np.flatnonzero(predicted != label)
  bins = np.minimum((confidence * 15).astype(int), 14)
  count = np.bincount(bins, minlength=15)
  with np.errstate(invalid='ignore'):
    calibration_confidence = np.bincount(bins, confidence, 15) / count
    calibration_accuracy = np.bincount(bins, label == predicted, 15) / count
  return dict(
    confusion=confusion,
    class_accuracy=np.diagonal(confusion) / confusion.sum(axis=1),
    class_count=confusion.sum(axis=1),
    calibration_confidence=calibration_confidence,
    calibration_accuracy=calibration_accuracy,
    calibration_count=count,
    mistakes_index=mistakes,
    mistakes_label=label[mistakes],
    mistakes_predicted=predicted[mistakes],
    mistakes_confidence=confidence[mistakes],
  )


def write(
  folder: pathlib.Path,
  *,
  classes: int = 10,
  seed: int = 0,
  names: list[str] | None = None,
  changes: dict | None = None,
) -> pathlib.Path:
  """A finished run."""
  folder.mkdir(parents=True)
  workdir.write_json(folder / workdir.CONFIG, CONFIG | (changes or {}))
  rows = metrics(seed=seed)
  (folder / workdir.METRICS).write_text(''.join(json.dumps(row) + '\n' for row in rows))
  names = names or [f'class {i}' for i in range(classes)]
  workdir.write_json(folder / workdir.FACTS, {'num_classes': classes, 'class_names': names})
  workdir.write_details(folder, 'test', details(classes, max(360, 4 * classes), seed))
  final = {key: value for key, value in rows[-1].items() if key != 'step'}
  result = {
    'metrics': final,
    'best': {'metric': 'test/accuracy', 'value': final['test/accuracy'], 'step': 560},
    'steps': 560,
    'seconds': 74.2,
    'seconds_to_first_step': 9.31,
    'parameters': 672_778,
    'examples_per_second': 941.5,
    'data_wait': 0.013,
    'goodput': 0.876,
    'fingerprint': '9f3c1a7be2d04c55',
    'device': '1 x cpu',
    'versions': {'python': '3.11.9', 'jax': '0.10.2', 'flax': '0.12.8', 'numpy': '2.3.4'},
    'commit': 'd9d1c17e02f6a44f',
  }
  workdir.write_json(folder / workdir.RESULT, result)
  return folder


def pictures(
  size: int = 8, count: int = 6, depth: int = 6, heads: int = 4, grid: int = 4, window: int = 0
) -> Pictures:
  """Mistakes, and as many images that a model was looked at with; with a window those of a Swin."""
  random = np.random.default_rng(0)

  def layer(i: int) -> Layer:
    cells = np.argwhere(np.ones((min(grid, 7),) * 2))
    maps = random.dirichlet(np.ones(grid**2), (1 + len(cells), heads)).reshape(
      -1, heads, grid, grid
    )
    distance = random.uniform(0, size, heads)
    shift = window // 2 if i % 2 else 0
    return Layer(f'layer {i + 1}', maps[0], maps[1:], cells, distance, window, shift)

  def one(index: int, attends: bool) -> Picture:
    layers = [layer(i) for i in range(depth)]
    rolled = layers[0].maps.mean(0) if layers else None
    look = Look(np.eye(10)[index], random.normal(size=(size, size)), random.normal(size=(8, 8)))
    return Picture(
      index=index,
      image=random.integers(0, 256, (size, size, 3 if size > 64 else 1), np.uint8),
      label=index % 10,
      predicted=(index + 1) % 10,
      confidence=0.5 + 0.4 * random.random(),
      look=look._replace(layers=layers, rollout=rolled) if attends else None,
    )

  side = max(2 * window - 1, 0)
  biases = {f'layer {i + 1}': random.normal(size=(heads, side, side)) for i in range(depth)}
  attended = [one(i, True) for i in range(count)]
  mistakes = [one(i, False) for i in range(count)]
  return Pictures(mistakes, attended, 'the class token', biases if window else {})
