"""What a generator draws, for its page: samples over training, what lies between them, the real
pictures that they are nearest to, where the generator looks while it draws, and how steep it is.
"""

import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from vitlab import registry
from vitlab.data import Source, identity, splits
from vitlab.predict import trained as trained_lib
from vitlab.predict.gan import Kind, Sampler, classes, each_of
from vitlab.predict.trained import Trained
from vitlab.report.gan import between
from vitlab.report.gan.between import Between
from vitlab.report.gan.norms import Norm, norms
from vitlab.workdir.model import moments

_log = logging.getLogger(__name__)

KINDS = 10  # classes that are shown, of more
EACH = 8  # samples of each class
EARLIER = 2  # of each class, at every step
STEPS = 6  # at which there are samples
ROWS, LINE = 4, 9  # interpolations of either kind, and pictures of each
NEAREST, SEARCHED = 5, 10_000  # real pictures beside a sample, of those that are looked through
ASKED = 6  # samples in which the generator's attention is shown
POINTS = ((0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))  # y, x
BATCH_SIZE = 64

Image = UInt8[np.ndarray, 'h w c']
Images = UInt8[np.ndarray, 'n h w c']


class Near(NamedTuple):
  """A sample and the real pictures whose features are nearest to its own, the nearest first."""

  sample: Image
  name: str
  found: Sequence[Image]
  distances: Sequence[float]


class Looks(NamedTuple):
  """Where the generator looks from some points while it draws; letters: p point.

  Attributes:
    images: Samples.
    layers: Of each attention: (the side of its map, weights for each sample and point).
  """

  images: Images
  layers: Sequence[tuple[int, Float[np.ndarray, 'n p rows columns']]]


class Drawn(NamedTuple):
  """What the page shows of a run.

  Attributes:
    kinds: Classes, in the order in which they are shown.
    step: Of the checkpoint that all but `earlier` is of.
    samples: By class.
    earlier: Step -> fewer samples by class, of the same noise.
    noises: Interpolations between two noises.
    classes: Interpolations between two classes.
    near: Samples beside real pictures.
    searched: How many real pictures there were to choose from, in words.
    looks: None for a generator without attention.
    norms: Of the layers that are spectrally normalised.
  """

  kinds: Sequence[Kind]
  step: int
  samples: UInt8[np.ndarray, 'kinds n h w c']
  earlier: Mapping[int, UInt8[np.ndarray, 'kinds k h w c']]
  noises: Sequence[Between] = ()
  classes: Sequence[Between] = ()
  near: Sequence[Near] = ()
  searched: str = ''
  looks: Looks | None = None
  norms: Sequence[Norm] = ()


def collect(folders: Sequence[str | pathlib.Path]) -> list[Drawn]:
  """What each run draws; of several, samples alone.

  Raises:
    UserError: there is no checkpoint yet.
  """
  models = [trained_lib.load(str(folder)) for folder in folders]
  return [of_run(models[0])] if len(models) == 1 else [_samples(model) for model in models]


def of_run(trained: Trained) -> Drawn:
  """Everything; what the data are needed for only where they can be read."""
  drawn = _samples(trained)._replace(
    earlier=_earlier(trained),
    noises=between.noises(trained, ROWS, LINE),
    classes=between.classes(trained, ROWS, LINE),
    looks=_looks(trained),
    norms=norms(trained.variables),
  )
  try:
    source, words = _real(trained)
    return drawn._replace(near=_near(trained, source), searched=words)
  except Exception as error:  # the page is worth having without them
    _log.warning('the report goes without the nearest real pictures: %s', error)
    return drawn


def _samples(trained: Trained) -> Drawn:
  kinds = classes(trained)[:KINDS]
  return Drawn(kinds, trained.step, _by_class(Sampler(trained), kinds, EACH), {})


def _by_class(
  sampler: Sampler, kinds: Sequence[Kind], count: int
) -> UInt8[np.ndarray, 'kinds n h w c']:
  images = sampler(**each_of(kinds, count))
  return images.reshape(len(kinds), count, *images.shape[1:])


def _earlier(trained: Trained) -> dict[int, UInt8[np.ndarray, 'kinds k h w c']]:
  """At the checkpoints that are kept."""
  kinds = classes(trained)[:KINDS]
  return {
    step: _by_class(Sampler(trained._replace(variables=variables)), kinds, EARLIER)
    for step, variables in moments(trained.workdir, STEPS)
  }


def _looks(trained: Trained) -> Looks | None:
  label = np.resize(np.int32([kind.label for kind in classes(trained)]), ASKED)
  batch = dict(index=np.arange(ASKED, dtype=np.int32), label=label)
  weights = jax.jit(trained.task.predict['attention'])(trained.variables, batch)
  layers = [_asked(np.asarray(one, np.float32)) for one in weights]
  return Looks(Sampler(trained)(**batch), layers) if layers else None


def _asked(
  weights: Float[np.ndarray, 'n 1 t s'],
) -> tuple[int, Float[np.ndarray, 'n p rows columns']]:
  """The side of a map, and where its points look: keys are of a map half as high and wide."""
  n, _, t, s = weights.shape
  side, seen = round(t**0.5), round(s**0.5)
  points = [int(y * side) * side + int(x * side) for y, x in POINTS]
  return side, weights[:, 0, points].reshape(n, len(points), seen, seen)


def _real(trained: Trained) -> tuple[Source, str]:
  """The pictures of a run's training, and how many of them are looked through."""
  dataset = registry.make('data.sets', trained.config.data.to_dict())
  identity.check_same(trained.facts, dataset, trained.workdir)
  source = splits.select(dataset, trained.config.train_split)
  first = 'all' if len(source) <= SEARCHED else f'the first {SEARCHED:,} of'
  return source, f'{first} {len(source):,} training pictures'


def _near(trained: Trained, source: Source) -> list[Near]:
  """Of a sample of each class, by the features that the run is judged by."""
  kinds, predict = classes(trained)[:KINDS], trained.task.predict
  ask = jax.jit(predict['sample_features'])
  batch = each_of(kinds, 1)
  wanted = np.asarray(ask(trained.variables, batch), np.float64)
  near, far = _search(jax.jit(predict['features']), trained.variables, source, wanted)
  images = Sampler(trained)(**batch)
  return [
    Near(images[row], kind.name, [source[int(i)]['image'] for i in near[row]], far[row].tolist())
    for row, kind in enumerate(kinds)
  ]


def _search(
  features: Callable[..., Any], variables: Any, source: Source, wanted: Float[np.ndarray, 'n d']
) -> tuple[Int[np.ndarray, 'n k'], Float[np.ndarray, 'n k']]:
  """Numbers of the nearest examples, and their distances."""
  count = min(len(source), SEARCHED)
  distances = np.empty((len(wanted), count))
  for start in range(0, count, BATCH_SIZE):
    images = [source[i]['image'] for i in range(start, min(start + BATCH_SIZE, count))]
    filled = np.stack(images + images[-1:] * (BATCH_SIZE - len(images)))
    found = np.asarray(features(variables, dict(image=filled)), np.float64)[: len(images)]
    part = distances[:, start : start + len(images)]
    part[:] = np.linalg.norm(wanted[:, None] - found, axis=-1)
  near = np.argsort(distances, axis=1, kind='stable')[:, :NEAREST]
  return near, np.take_along_axis(distances, near, axis=1)
