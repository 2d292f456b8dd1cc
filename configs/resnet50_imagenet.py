"""ResNet-50 on ImageNet-1k: torchvision's 90 epochs (1512.03385).

  command    python launch.py --config=configs/resnet50_imagenet.py
  hardware   8 or more accelerators; see --mode=inspect --topology=h100:8
  published  76.13 % top-1 (torchvision's V1 weights); not run here

ImageNet must have been prepared once by TensorFlow Datasets; or give `path`, a folder of
train/CLASS/*.JPEG and validation/CLASS/*.JPEG. `:smoke` needs neither: it learns bundled digits.

One difference from torchvision: random boxes are cut on the device, out of the central square at
224 pixels, not out of the full photograph.
"""

from ml_collections import ConfigDict

from configs.common import imagenet
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`variant`: of the ResNet; `path`: a folder; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, variant='50', path='', smoke=False)
  config = base()
  config.duration = '90 epochs'
  config.batch_size = 256
  config.num_workers = 16

  config.data = imagenet.data(arg.path)
  config.model = dict(
    name='resnet',
    variant=arg.variant,
    num_classes=1000,
    stem='imagenet',
    dtype='bfloat16',
  )
  config.task = dict(
    name='classification',
    num_classes=1000,
    augment='resized_crop|flip',
    **imagenet.NORMALISATION,
  )
  config.optim = dict(
    name='sgd',
    momentum=0.9,
    learning_rate=0.1,
    schedule='step',
    milestones=('30 epochs', '60 epochs'),
    weight_decay=1e-4,
    decay_mask='.*',  # norms too, as torchvision does
  )
  imagenet.evaluate(config, every='10 epochs')
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  imagenet.smoke(config)
  config.model.update(variant='mu', stem='small')
  config.optim.update(schedule='cosine', warmup='10%')
