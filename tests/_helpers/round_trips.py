"""A published model comes in and goes out again: logits stay, and so does every bit."""

import pathlib
from functools import partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import timm
from _helpers import parity, published
from transformers import AutoModelForImageClassification

from vitlab import pretrained, registry


def like(module, image: np.ndarray):
  """The shapes of a model's variables."""
  return jax.eval_shape(partial(module.init, train=False), jax.random.key(0), jnp.asarray(image))


def model(weights: pretrained.Weights):
  """The model that computes what the source computes."""
  return registry.make('models', weights.about.spec)


def ours(weights: pretrained.Weights, image: np.ndarray):
  """Our variables and our logits of published weights."""
  module = model(weights)
  variables = weights.load(like(module, image))
  logits, _ = jax.jit(partial(module.apply, train=False))(variables, image)
  return variables, logits


def theirs(folder: pathlib.Path, format: str):
  """What timm or transformers loads from a folder, offline."""
  if format == 'timm':
    return timm.create_model(f'local-dir:{folder}', pretrained=True)
  return AutoModelForImageClassification.from_pretrained(folder, local_files_only=True)


def check(source: pathlib.Path, expected: np.ndarray, format: str, image, folder) -> None:
  """Logits as theirs; exported, their library computes the same; imported again, every bit is back.

  Args:
    source: A folder that they saved.
    expected: Their logits of `image`.
    format: That is written.
    image: Normalised, b h w c, float32.
    folder: Where to write.
  """
  weights = pretrained.read(str(source))
  variables, logits = ours(weights, image)
  np.testing.assert_allclose(logits, expected, atol=2e-5)
  pretrained.write(folder, variables, weights.about, format)
  np.testing.assert_allclose(published.logits(theirs(folder, format), image), expected, atol=2e-5)
  again = pretrained.read(str(folder))
  assert again.about.class_names == weights.about.class_names
  pictures = again.about.preprocessing, weights.about.preprocessing
  assert pictures[0] == pictures[1]._replace(library=format)
  assert parity.error(again.load(jax.eval_shape(lambda: variables)), variables) == 0
