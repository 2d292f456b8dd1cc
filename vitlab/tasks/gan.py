"""Two players: a generator of pictures, and a discriminator that tells them from real ones.

A batch holds `image` (uint8, b h w c), `label` (int32, b; where the model knows classes) and `mask`
(bool, b; all True where absent). In a step the discriminator moves first, then the generator; each
turn draws its own noise, and the other player is applied as it is: what it would keep is dropped.
Batch statistics of generated pictures are of the rows of a microbatch, padding included.

Features of pictures, real and generated, are those of a frozen player 'encoder', any classifier of
vitlab. Its weights come from `config.init_from=dict(encoder=...)`, and say how it wants pictures
and how many classes it knows:

  task = dict(name='gan', num_classes=None, encoder=dict())
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from vitlab.errors import UserError, unknown
from vitlab.ops import adversarial
from vitlab.ops import diff_augment as diff_augment_lib
from vitlab.ops.color import normalize
from vitlab.ops.latents import noise
from vitlab.ops.losses import masked_mean
from vitlab.tasks import (
  Assumed,
  Batch,
  Key,
  Loss,
  Metrics,
  Task,
  Variables,
  _images,
  _samples,
  apply_train,
  mask_of,
)
from vitlab.tasks._encoder import Encoder
from vitlab.tasks._images import example, pixels
from vitlab.tasks._samples import ENCODER

__all__ = ['assumed', 'example', 'make']
UNIT, INPUTS = 'images', ('image',)
DISCRIMINATOR, GENERATOR = 'discriminator', 'generator'

Image = Float[Array, 'b h w c']
Label = Int[Array, ' b'] | None


def make(
  model: nn.Module,
  num_classes: int | None = None,
  loss: str = 'hinge',
  r1: float = 0.0,
  r2: float = 0.0,
  diff_augment: str = '',
  truncation: float = 0.0,
  seed: int = 0,
  encoder: nn.Module | None = None,
  encoder_mean: Sequence[float] = (0.5,),
  encoder_std: Sequence[float] = (0.5,),
  encoder_image_size: Sequence[int] | None = None,
  encoder_channels: int | None = None,
) -> Task:
  """Builds the game around a model of two players.

  Args:
    model: `model.generator()` is called as module(noise, label, train) -> pictures in [-1, 1],
      `model.discriminator()` as module(pictures, label, train) -> scores; both also give what lies
      between. Its `num_classes` are those that labels are told them of, its `noise_width` is z.
    num_classes: Of the data; needed where the model knows classes.
    loss: 'hinge', 'non_saturating' or 'relativistic', see `vitlab.ops.adversarial`.
    r1: Weight γ of half the squared slope of the scores at real pictures; 0 is off.
    r2: The same at generated ones.
    diff_augment: A policy of `vitlab.ops.diff_augment`, through which the discriminator sees all.
    truncation: Largest noise of samples (the truncation trick of BigGAN, arXiv:1809.11096): less
      varied and more typical ones; 0 is off.
    seed: Of the noise of samples.
    encoder: Called as module(image, train) -> (logits, out), with 'features' in `out`; without one
      the features of a picture are its pixels.
    encoder_mean: Of the pixels in [0, 1], as the encoder was trained.
    encoder_std: Divided by.
    encoder_image_size: (height, width) that pictures are brought to for it; by default, their own.
    encoder_channels: Channels of its pictures; by default, those of the data.

  Raises:
    UserError: a model that is no pair of players, other or too few classes, an unknown loss or
      policy, a number out of range; with the first batch, pictures that the model does not make.
  """
  _check_model(model, num_classes)
  if loss not in adversarial.LOSSES:
    raise unknown('loss of the gan task', loss, adversarial.LOSSES)
  _check_numbers(r1=r1, r2=r2, truncation=truncation)
  if not 0 <= seed < 2**32:
    raise UserError(f'task.seed={seed}: expected a whole number from 0 to {2**32 - 1}')
  game = _Game(
    model,
    model.generator(),
    model.discriminator(),
    adversarial.LOSSES[loss],
    (r1, r2),
    diff_augment_lib.compile(diff_augment),
  )
  words = encoder_mean, encoder_std, encoder_image_size, encoder_channels
  seen = None if encoder is None else Encoder(encoder, *words)

  def init(key: Key, batch: Batch) -> Variables:
    variables = game.init(key, batch)
    if seen is None:
      return variables
    image = seen.prepared(pixels(batch['image']))
    return variables | {
      ENCODER: encoder.init({'params': jax.random.fold_in(key, 2)}, image, train=False)
    }

  losses = {DISCRIMINATOR: game.judge, GENERATOR: game.forge}
  numbers = dict(width=model.noise_width, seed=seed, truncation=truncation)
  noise_of = functools.partial(noise, **numbers)
  return Task(init, losses, _samples.predict(game.generated, noise_of, seen))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """As of classification; a model of no classes may stand before data of any."""
  any_of = dict(num_classes=1) if model.get('num_classes') == 0 else {}
  return _images.assumed(data, {**model, **any_of})


class _Game(NamedTuple):
  """Both players and the rules; its methods are what the task is made of."""

  model: nn.Module
  generator: nn.Module
  discriminator: nn.Module
  loss: adversarial.Adversarial
  slopes: tuple[float, float]
  augment: Callable[[Key, Image], Image]

  def init(self, key: Key, batch: Batch) -> Variables:
    keys, label = jax.random.split(key), self.label_of(batch)
    image = self.real(batch)
    drawn = jnp.zeros((len(image), self.model.noise_width))
    made = {
      DISCRIMINATOR: self.discriminator.init({'params': keys[0]}, image, label, train=False),
      GENERATOR: self.generator.init({'params': keys[1]}, drawn, label, train=False),
    }
    found, _ = self.generator.apply(made[GENERATOR], drawn, label, train=False)
    _check_pictures(found.shape[1:], image.shape[1:])
    return made

  def label_of(self, batch: Batch) -> Label:
    """Classes, 0 where there is no example: its own must not reach the others' statistics."""
    return jnp.where(mask_of(batch), batch['label'], 0) if self.model.num_classes else None

  def real(self, batch: Batch) -> Image:
    """The pictures of a batch in [-1, 1]; black where there is no example."""
    image = jnp.where(mask_of(batch)[:, None, None, None], pixels(batch['image']), 0.0)
    return normalize(image, (0.5,), (0.5,))

  def drawn(self, variables: Variables, key: Key, label: Label, count: int) -> tuple[Image, Any]:
    """As many new pictures, and what the generator would keep of having drawn them."""
    keys = jax.random.split(key)
    z = jax.random.normal(keys[0], (count, self.model.noise_width))
    (image, _), mutated = apply_train(self.generator, variables[GENERATOR], z, label, key=keys[1])
    return image, mutated

  def generated(self, variables: Variables, z: Array, batch: Batch) -> tuple[Image, Any]:
    """Pictures of the classes of a batch, by what has been learned, and all intermediates."""
    label = self.label_of(batch)
    return self.generator.apply(variables[GENERATOR], z, label, train=False)

  def judge(self, variables: Variables, batch: Batch, key: Key) -> Loss:
    """The discriminator's turn: real and generated pictures are one batch, in pairs."""
    noise_key, view_key, key = jax.random.split(key, 3)
    real, label = self.real(batch), self.label_of(batch)
    fake, _ = self.drawn(variables, noise_key, label, len(real))

    def score(image: Image) -> tuple[Float[Array, ' b'], Any]:
      view, both = self.augment(view_key, image), _paired(label, label)
      (scores, _), mutated = apply_train(
        self.discriminator, variables[DISCRIMINATOR], view, both, key=key
      )
      return scores, mutated

    if any(self.slopes):
      scores, slopes, mutated = adversarial.squared_slope(score, _paired(real, fake))
    else:
      scores, mutated = score(_paired(real, fake))
      slopes = jnp.zeros_like(scores)
    real, fake = _parted(scores)
    values = self.loss.discriminator(real, fake)
    parts = dict(real=real, fake=fake)
    for name, weight, slope in zip(('r1', 'r2'), self.slopes, _parted(slopes), strict=True):
      if weight:
        values += weight / 2 * slope
        parts[name] = slope
    return _loss(values, parts, mask_of(batch), {DISCRIMINATOR: mutated})

  def forge(self, variables: Variables, batch: Batch, key: Key) -> Loss:
    """The generator's turn: the discriminator scores, and its spectral vectors stay."""
    noise_key, view_key = jax.random.split(key)
    label, mask = self.label_of(batch), mask_of(batch)
    image, mutated = self.drawn(variables, noise_key, label, len(mask))
    if self.loss.pairs:
      image, label = _paired(self.real(batch), image), _paired(label, label)
    view = self.augment(view_key, image)
    scores, _ = self.discriminator.apply(variables[DISCRIMINATOR], view, label, train=False)
    real, fake = _parted(scores) if self.loss.pairs else (None, scores)
    return _loss(self.loss.generator(real, fake), {}, mask, {GENERATOR: mutated})


def _loss(
  values: Float[Array, ' b'],
  parts: Mapping[str, Float[Array, ' b']],
  mask: Bool[Array, ' b'],
  mutated: Variables,
) -> Loss:
  """The mean of the values of a turn, and those of its parts as metrics."""
  value, count = masked_mean(values.astype(jnp.float32), mask)
  metrics: Metrics = {
    name: (jnp.sum(jnp.where(mask, x, 0.0)), count) for name, x in {'loss': values, **parts}.items()
  }
  return Loss(value, metrics, mutated, weight=count)


def _paired(real: Any, fake: Any) -> Any:
  """Rows 2i and 2i + 1 of one batch: so they stay on the devices where they are."""
  if real is None:
    return None
  return jnp.stack([real, fake], axis=1).reshape(-1, *real.shape[1:])


def _parted(scores: Float[Array, ' pairs']) -> tuple[Float[Array, ' b'], Float[Array, ' b']]:
  """Undoes `_paired`."""
  return scores[0::2], scores[1::2]


def _check_model(model: nn.Module, num_classes: int | None) -> None:
  """Raises UserError unless this is a pair of players that can be told the classes of the data."""
  if not (hasattr(model, 'generator') and hasattr(model, 'discriminator')):
    raise UserError(
      f'task gan needs a model of two players, the model {type(model).__name__} is one network'
      "\nset model=dict(name='sagan', ...)"
    )
  known, without = model.num_classes, 'model.num_classes=0 is a GAN without classes'
  if known == 1:
    raise UserError(f'the data have one class: there is no other to tell it from\n{without}')
  if known and known != num_classes:
    raise UserError(
      f'the model knows {known} classes, the data have {num_classes or "none"}: '
      f'give both the same num_classes\n{without}'
    )


def _check_numbers(**numbers: float) -> None:
  for name, number in numbers.items():
    if not 0 <= number < np.inf:
      raise UserError(f'task.{name}={number}: expected a number above 0, or 0, which is off')


def _check_pictures(made: Sequence[int], given: Sequence[int]) -> None:
  """Raises UserError unless the model makes pictures such as those of the data."""
  if tuple(made) != tuple(given):
    ours, theirs = ('{} x {} pixels and {} channels'.format(*shape) for shape in (made, given))
    raise UserError(
      f'the model makes pictures of {ours}, those of the data have {theirs}'
      '\nset model.image=None, which the data fill in, and data.image_size or model.variant'
    )
