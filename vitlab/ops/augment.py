"""Augmentation on the device, inside the training step: pipelines of keyed operations.

A pipeline is a string such as `'random_crop(padding=2)|flip|mixup(alpha=0.2)'`: the operations of
`OPERATIONS` from left to right, with Python literals as arguments. An operation is a pure function
of (key, image, target): float images in [0, 1] `b h w c` and soft targets `b classes`. What it
draws depends on the key alone, so a run is the same on any number of devices and after any restart.
"""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Shaped

from vitlab.ops import geometry, mix, pipelines, policies

Key = Shaped[Array, '']
Image = Float[Array, 'b h w c']
Target = Float[Array, 'b classes']
Augment = Callable[[Key, Image, Target], tuple[Image, Target]]

OPERATIONS: dict[str, Callable[..., tuple[Image, Target]]] = {
  function.__name__: function
  for function in (
    geometry.affine,
    geometry.flip,
    geometry.random_crop,
    geometry.resized_crop,
    mix.cutmix,
    mix.mixup,
    mix.mixup_or_cutmix,
    mix.random_erasing,
    policies.color_jitter,
    policies.rand_augment,
    policies.three_augment,
  )
}


def compile(pipeline: str) -> Augment:
  """Reads a pipeline; the empty string changes nothing.

  Raises:
    UserError: the string cannot be read, or an operation, a keyword or a value does not exist;
      names those that do.
  """
  stages = pipelines.read(pipeline, OPERATIONS)

  def augment(key: Key, image: Image, target: Target) -> tuple[Image, Target]:
    for position, stage in enumerate(stages):
      image, target = stage(jax.random.fold_in(key, position), image, target)
    return image, target

  return augment
