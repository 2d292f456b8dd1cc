"""SAGAN on ImageNet-1k at 128 pixels (arXiv:1805.08318).

  command   python launch.py --config=configs/sagan_imagenet128.py
  hardware  4 or more accelerators; see --mode=inspect --topology=h100:4
  published 18.65 FID, 52.52 inception score (the paper); not run here
  published 34.78 FID, 28.49 inception score (mmgeneration, this batch size); not run here

ImageNet must have been prepared once by TensorFlow Datasets; or give `path`, a folder of
train/CLASS/*.JPEG and validation/CLASS/*.JPEG. `encoder=WEIGHTS` is what samples are looked at
through. `:smoke` needs no file: it draws the bundled digits.

As the authors' released code, whose attention is not that of the paper's text (`vitlab.models.
sagan`). The generator is evaluated as an average over steps, which theirs is not.
"""

from ml_collections import ConfigDict

from configs.common import gan, imagenet
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: a folder; `encoder`: weights; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='', encoder='', smoke=False)
  config = base()
  config.duration = '1000000 steps'
  config.batch_size = 256
  config.ema_decay = 0.9999
  config.num_workers = 16

  config.data = imagenet.data(arg.path, image_size=128, crop_fraction=1.0)
  config.model = dict(name='sagan', variant='128', num_classes=1000, image=None, dtype='bfloat16')
  config.task = dict(name='gan', num_classes=1000, loss='hinge')
  config.optim = gan.optim(4e-4, 1e-4)
  if arg.smoke:
    gan.smoke(config)
    config.task.num_classes = None
  gan.judge(
    config, 'test' if arg.smoke else 'validation', '50%' if arg.smoke else '1%', arg.encoder
  )
  return config
