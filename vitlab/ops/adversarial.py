"""What two players of a GAN want of the discriminator's scores, and how its slope is held down.

Scores are real numbers, high where the discriminator takes a picture for real. All values are one
for each example, so that padding can be left out of their mean.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Scores = Float[Array, ' b']


class Adversarial(NamedTuple):
  """The losses of both players, (real, fake) -> one value for each example.

  Attributes:
    discriminator: Falls as real pictures score higher and fake ones lower.
    generator: Falls as fake pictures score higher.
    pairs: Whether the generator's loss reads the scores of real pictures; else it needs none.
  """

  discriminator: Callable[[Scores, Scores], Scores]
  generator: Callable[[Scores | None, Scores], Scores]
  pairs: bool = False


def hinge_discriminator(real: Scores, fake: Scores) -> Scores:
  """max(0, 1 - real) + max(0, 1 + fake): what is right by a margin is right enough.

  Lim and Ye 2017 (arXiv:1705.02894); SAGAN (arXiv:1805.08318), equation 4.
  """
  return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)


def hinge_generator(real: Scores | None, fake: Scores) -> Scores:
  """-fake."""
  del real
  return -fake


def non_saturating_discriminator(real: Scores, fake: Scores) -> Scores:
  """-log σ(real) - log(1 - σ(fake)), the cross-entropy (Goodfellow et al. 2014, 1406.2661)."""
  return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def non_saturating_generator(real: Scores | None, fake: Scores) -> Scores:
  """-log σ(fake), whose gradient does not vanish where the discriminator is sure of itself."""
  del real
  return jax.nn.softplus(-fake)


def relativistic_discriminator(real: Scores, fake: Scores) -> Scores:
  """-log σ(real - fake) of pairs, RpGAN (arXiv:1807.00734; with R1 and R2 R3GAN, 2501.05441)."""
  return jax.nn.softplus(fake - real)


def relativistic_generator(real: Scores, fake: Scores) -> Scores:
  """-log σ(fake - real): the same game with changed sides."""
  return jax.nn.softplus(real - fake)


LOSSES: Mapping[str, Adversarial] = {
  'hinge': Adversarial(hinge_discriminator, hinge_generator),
  'non_saturating': Adversarial(non_saturating_discriminator, non_saturating_generator),
  'relativistic': Adversarial(relativistic_discriminator, relativistic_generator, pairs=True),
}


def squared_slope(
  score: Callable[[Float[Array, 'b h w c']], tuple[Scores, Any]], image: Float[Array, 'b h w c']
) -> tuple[Scores, Scores, Any]:
  """‖∂ score / ∂ image‖² of each picture: its mean over real ones times γ/2 is R1, over fake R2.

  Mescheder et al. 2018 (arXiv:1801.04406), equations 9 and 10; of the scores, not of σ of them.
  Holds where no picture has a part in the score of another.

  Args:
    score: Pictures -> their scores, and anything beside them.
    image: Where the slope is taken.

  Returns:
    The scores, the squared slopes, and what came beside the scores.
  """
  scores, pull, beside = jax.vjp(score, image, has_aux=True)
  (slope,) = pull(jnp.ones_like(scores))
  return scores, jnp.sum(jnp.square(slope), axis=(1, 2, 3)), beside
