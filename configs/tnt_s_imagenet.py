"""TNT-S on ImageNet-1k: the 300 epochs of the paper (2103.00112).

  command    python launch.py --config=configs/tnt_s_imagenet.py
  hardware   8 or more accelerators; see --mode=inspect --topology=h100:8
  published  81.5 % top-1 (variant=S), 82.9 % (variant=B); not run here

ImageNet must have been prepared once by TensorFlow Datasets; or give `path`, a folder of
train/CLASS/*.JPEG and validation/CLASS/*.JPEG. `:smoke` needs neither: it learns bundled digits.

Three differences from the original: random boxes are cut on the device, out of the central square
at 224 pixels, not out of the full photograph; RandAugment has the operations of its paper; and no
picture is repeated within a batch.
"""

from ml_collections import ConfigDict

from configs.common import imagenet
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`variant`: of the TNT; `path`: a folder; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, variant='S', path='', smoke=False)
  config = base()
  config.duration = '300 epochs'
  config.batch_size = 1024
  config.num_workers = 16

  config.data = imagenet.data(arg.path, crop_fraction=0.9)
  config.model = dict(
    name='tnt',
    variant=arg.variant,
    num_classes=1000,
    drop_path_rate=0.1,
    dtype='bfloat16',
    scan=False,
    remat='',
  )
  config.task = dict(
    name='classification',
    num_classes=1000,
    augment="resized_crop(interpolation='bicubic')|flip"
    '|rand_augment(num_layers=2, magnitude=9.0, magnitude_std=0.5)'
    '|mixup_or_cutmix(mixup_alpha=0.8, cutmix_alpha=1.0)|random_erasing',
    label_smoothing=0.1,
  )
  config.optim = dict(
    name='adamw',
    learning_rate=1e-3,
    schedule='cosine',
    warmup='5 epochs',
    final_learning_rate=1e-5,
    weight_decay=0.05,
  )
  imagenet.evaluate(config, every='10 epochs')
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  imagenet.smoke(config, duration='14 epochs')
  config.model.update(variant='mu', patch_size=4, inner_stride=2, drop_path_rate=0.0)
  config.task.update(mean=(0.5,), std=(0.5,))
  config.optim.update(learning_rate=5e-3, warmup='10%')
