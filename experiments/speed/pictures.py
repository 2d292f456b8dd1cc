"""Pictures a second out of a folder of JPEGs, against bare Pillow on as many threads.

  python experiments/speed/pictures.py                   # 500 x 375 px, brought to 224
  python experiments/speed/pictures.py --workers=2       # decoded in processes

Three subjects take turns, in shuffled rounds: Pillow decodes and does nothing else; Pillow decodes
and resizes; batches of the training pipeline, decoded, cropped, resized, shuffled and stacked. A
model keeps the pipeline busy if it eats fewer pictures a second than the last.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from vitlab.data import pipeline
from vitlab.data.sets import folder

BATCH = 64


def write_pictures(path: pathlib.Path, count: int, rng: np.random.Generator) -> list[pathlib.Path]:
  """JPEGs of 500 x 375 pixels and about 60 kB, in two classes."""
  files = []
  for number in range(count):
    noise = Image.fromarray(rng.integers(0, 256, (375, 500, 3), np.uint8))
    file = path / 'ab'[number % 2] / f'{number}.jpg'
    file.parent.mkdir(exist_ok=True)
    noise.filter(ImageFilter.GaussianBlur(1.0)).save(file, quality=90)
    files.append(file)
  return files


def decode(file: pathlib.Path) -> Image.Image:
  return Image.open(file).convert('RGB')


def resize(file: pathlib.Path) -> np.ndarray:
  return np.asarray(decode(file).resize((224, 224), Image.Resampling.BICUBIC))


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--pictures', type=int, default=512)
  parser.add_argument('--workers', type=int, default=0)
  parser.add_argument('--rounds', type=int, default=7)
  options = parser.parse_args()
  threads = len(os.sched_getaffinity(0))
  with tempfile.TemporaryDirectory() as name:
    files = write_pictures(pathlib.Path(name), options.pictures, np.random.default_rng(0))
    size = sum(file.stat().st_size for file in files) / len(files)
    source = folder.make(name, image_size=224).splits['train']
    batches = pipeline.train_batches(source, batch_size=BATCH, seed=0, workers=options.workers)
    pool = concurrent.futures.ThreadPoolExecutor(threads)

    def ours():
      return [next(batches) for _ in range(options.pictures // BATCH)]

    subjects = {
      'Pillow decodes': lambda: list(pool.map(decode, files)),
      'Pillow decodes and resizes': lambda: list(pool.map(resize, files)),
      'batches of the pipeline': ours,
    }
    seconds = {subject: [] for subject in subjects}
    for round_ in range(options.rounds + 1):  # the first warms up
      for subject in random.sample(list(subjects), len(subjects)):
        if subjects[subject] == ours:
          ours()  # what lay ready
        start = time.perf_counter()
        subjects[subject]()
        seconds[subject] += [time.perf_counter() - start] * (round_ > 0)
        time.sleep(1.0)  # until ours has made what will lie ready
    batches.close()
  print(
    f'{options.pictures} JPEGs of 500 x 375 px, {size / 1e3:.0f} kB, {threads} threads, ', end=''
  )
  print(f'{options.workers} worker processes; median of {options.rounds} rounds\n')
  bare = statistics.median(seconds['Pillow decodes'])
  for subject, samples in seconds.items():
    median = statistics.median(samples)
    print(f'{subject:28s} {options.pictures / median:7.0f} pictures/s   {bare / median:.2f}')


if __name__ == '__main__':
  main()
