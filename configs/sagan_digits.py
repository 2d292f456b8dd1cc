"""SAGAN draws handwritten digits of a wanted class: nothing to download.

  command   python launch.py --config=configs/sagan_digits.py
  hardware  2 CPU cores
  time      86 s, compilation and report included
  reached   97.8 % of samples recognised (seed 0; before, seeds 0, 1: 98.1, 98.6 %); distance 0.36

Without `encoder` samples and pictures are compared pixel by pixel. `:encoder=runs/vit_digits` looks
at them through that classifier, and says how many it recognises as the digit they were asked for:
so the numbers above. One for each test image; real training images are at a distance of 0.83, since
the classifier has learned them.

Attention on maps of 8x8 and 4x4 pixels, as in SAGAN; the loss is of pairs with both slopes held
down (R3GAN, arXiv:2501.05441): it is there in half the steps that the hinge takes, and the samples
are more varied. `:smoke` is a run of seconds.
"""

from ml_collections import ConfigDict

from configs.common import gan
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`encoder`: weights of a classifier of digits; `smoke`: a run of seconds."""
  arg = parse_arg(arg, encoder='', smoke=False)
  config = base()
  config.duration = '2500 steps'
  config.batch_size = 64
  config.ema_decay = 0.99

  config.data = dict(name='digits')
  config.model = dict(
    name='sagan',
    variant='8',
    width=16,
    noise_width=16,
    num_classes=None,
    image=None,
    dtype='float32',
  )
  config.task = dict(name='gan', num_classes=None, loss='relativistic', r1=0.1, r2=0.1)
  config.optim = gan.optim(2e-3, 2e-3)
  config.log_every = '100 steps'
  if arg.smoke:
    gan.smoke(config)
  # Halves of so few images would say nothing.
  gan.judge(config, 'test', '50%', arg.encoder, floor='train')
  return config
