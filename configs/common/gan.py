"""What the configs of GANs have in common: two optimisers, an encoder to be judged by, seconds."""

from typing import Any

from ml_collections import ConfigDict


def optim(
  discriminator: float, generator: float, every: int = 1, b1: float = 0.0, b2: float = 0.9
) -> dict[str, Any]:
  """Adam of both players; by default without momentum, as SAGAN has it.

  Args:
    discriminator: Its learning rate.
    generator: Its learning rate.
    every: Steps of the discriminator for one of the generator.
    b1: Of Adam.
    b2: Of Adam.
  """
  adam = dict(name='adam', b1=b1, b2=b2, eps=1e-8, schedule='constant')
  return dict(
    discriminator=dict(adam, learning_rate=discriminator),
    generator=dict(adam, learning_rate=generator, every=every),
  )


def judge(config: ConfigDict, split: str, every: str, encoder: str = '', floor: str = '') -> None:
  """Compares samples with a split, in the features of an encoder or pixel by pixel.

  Keeps a few checkpoints, so that the report shows samples over training.

  Args:
    config: Changed in place.
    split: Real pictures that the generator has not been shown.
    every: How often.
    encoder: Weights of any model of pictures; '' for none.
    floor: Other real pictures, for the floor; '': the split's halves, if there is an encoder, which
      knows what it was trained on too well, else the training split.
  """
  floor = floor or (split if encoder else 'train')
  seen = dict(encoder='pixels')
  if encoder:
    seen = dict(encoder=encoder, resize='bicubic as clean-fid', num_classes=None)
  how = dict(name='frechet', split=split, floor_split=floor, every=every, **seen)
  config.evaluators = {split: how}
  config.checkpoint.keep_every = '20%'
  if encoder:
    config.task.encoder = dict()  # whose classes are its own
    config.init_from = dict(encoder=encoder)


def smoke(config: ConfigDict) -> None:
  """A tiny SAGAN and the 8x8 digits that come with scikit-learn: seconds."""
  config.data = dict(name='digits')
  config.model = dict(
    name='sagan', variant='mu', num_classes=None, image=None, noise_width=8, dtype='float32'
  )
  config.optim = optim(4e-3, 4e-3)
  config.task.update(loss='relativistic', r1=0.1, r2=0.1, diff_augment='')
  config.ema_decay = 0.9
  config.duration, config.batch_size, config.log_every = '100 steps', 32, '10 steps'
  config.checkpoint.every = '50%'
