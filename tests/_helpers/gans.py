"""GANs of digits that have learned nothing: what is drawn, not how well, is what matters."""

import functools

import jax
import numpy as np

from vitlab import config as config_lib
from vitlab.predict.gan import Sampler
from vitlab.predict.trained import Trained
from vitlab.train import setup

FACTS = dict(
  num_classes=4,
  class_names=['cat', 'dog', 'sea / sand', '1'],
  image=dict(image_size=(8, 8), channels=3),
)


def drawing(facts=FACTS, num_classes=None, **task):
  """The task around the smallest SAGAN."""
  return setup.make_task(config(num_classes, **task), facts)


def config(num_classes=None, **task):
  made = config_lib.base()
  made.model = dict(
    name='sagan', variant='mu', num_classes=num_classes, image=None, noise_width=6, dtype='float32'
  )
  made.task = dict(name='gan', num_classes=None, **task)
  return made


def trained(folder='', facts=FACTS, **options) -> Trained:
  """A model whose weights are drawn, so that every class has its own look."""
  made, (height, width) = drawing(facts, **options), facts['image']['image_size']
  image = np.zeros((1, height, width, facts['image']['channels']), np.uint8)
  batch = dict(image=image, label=np.zeros(1, np.int32))
  variables = jax.tree.map(_perturbed, jax.jit(made.init)(jax.random.key(0), batch))
  return Trained(str(folder), 7, config(**options).lock(), facts, made, variables)


@functools.cache
def shared() -> Trained:
  """The same one for all tests, which leave it as it is; in no folder."""
  return trained()


def sample(label, index):
  """The picture of that class and number."""
  return Sampler(shared())(np.int32([label]), index=np.int32([index]))[0]


def _perturbed(x):
  return x + 0.3 * np.random.default_rng(x.size).normal(size=x.shape).astype(x.dtype)
