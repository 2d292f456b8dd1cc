"""SAGAN on CIFAR-10, from TFDS or from a folder or archive.

  command   python launch.py --config=configs/sagan_cifar10.py
            python launch.py --config=configs/sagan_cifar10.py:path=cifar10.tar.gz
  hardware  1 GPU
  published 9.43 FID, 9.32 inception score (mmgeneration, this recipe); not run here

Without `path` the set must have been prepared once by TensorFlow Datasets; with it, pictures lie as
train/CLASS/*.png and test/CLASS/*.png on disk, in a .zip or in a .tar. `encoder=WEIGHTS` is what
samples are looked at through, else they are compared pixel by pixel. The published numbers are in
the features of FID's Inception, against the training set, the best of many steps, FID of one and
score of another; of the generator itself, while ours is an average. `:smoke` draws bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import cifar10, gan
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: folder or archive; `encoder`: weights; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='', encoder='', smoke=False)
  config = base()
  config.duration = '500000 steps'  # of the discriminator
  config.batch_size = 64
  config.ema_decay = 0.9999

  config.data = cifar10.data(arg.path)
  config.model = dict(name='sagan', variant='32', num_classes=None, image=None, dtype='float32')
  config.task = dict(name='gan', num_classes=None, loss='hinge')
  config.optim = gan.optim(2e-4, 2e-4, every=5, b1=0.5, b2=0.999)
  if arg.smoke:
    gan.smoke(config)
  gan.judge(config, 'test', '50%' if arg.smoke else '5%', arg.encoder)
  return config
