"""What a generator is asked that has learned: samples, what it looks at, features of pictures."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vitlab.ops.encoded import eight_bits
from vitlab.tasks import Batch, Variables
from vitlab.tasks._encoder import Encoder
from vitlab.tasks._images import pixels

Image = Float[Array, 'b h w c']
Noise = Float[Array, 'b z']
ENCODER = 'encoder'


def predict(
  generate: Callable[[Variables, Noise, Batch], tuple[Image, Any]],
  noise_of: Callable[[Int[Array, ' b']], Noise],
  encoder: Encoder | None,
) -> dict[str, Callable[[Variables, Batch], Any]]:
  """The predict functions of a task that draws pictures.

  A sample belongs to an example: to its `index` and its class. Who wants to choose the noise puts
  it into the batch, as `noise`.

  Args:
    generate: (variables, noise, batch) -> pictures in [-1, 1] and all intermediates.
    noise_of: What samples of these numbers are drawn from.
    encoder: What pictures are looked at through; None: features are their pixels.
  """

  def noise(variables: Variables, batch: Batch) -> Noise:
    """What samples are drawn from."""
    del variables
    return batch['noise'] if 'noise' in batch else noise_of(batch['index'])

  def forward(variables: Variables, batch: Batch) -> tuple[Image, Any]:
    image, out = generate(variables, noise(variables, batch), batch)
    return jnp.clip((image.astype(jnp.float32) + 1) / 2, 0.0, 1.0), out

  def samples(variables: Variables, batch: Batch) -> Image:
    """One for each example, of its class."""
    return forward(variables, batch)[0]

  def attention(variables: Variables, batch: Batch) -> list[Float[Array, 'b n t s']]:
    """Of the generator, in its samples."""
    return forward(variables, batch)[1]['attention']

  def features_of(variables: Variables, image: Image) -> Float[Array, 'b d']:
    if encoder is None:
      return eight_bits(image).reshape(len(image), -1)
    return encoder.features(variables[ENCODER], image)

  functions = dict(
    noise=noise,
    samples=samples,
    attention=attention,
    features=lambda variables, batch: features_of(variables, pixels(batch['image'])),
    sample_features=lambda variables, batch: features_of(variables, samples(variables, batch)),
  )
  if encoder is not None:
    functions['sample_logits'] = lambda variables, batch: encoder.logits(
      variables[ENCODER], samples(variables, batch)
    )
  return functions
