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

from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`variant`: of the ResNet; `path`: a folder; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, variant='50', path='', smoke=False)
  config = base()
  config.duration = '90 epochs'
  config.batch_size = 256
  config.num_workers = 16

  image = dict(image_size=224, resize='crop', crop_fraction=0.875)
  if arg.path:
    config.data = dict(name='folder', path=arg.path, **image)
  else:
    config.data = dict(name='tfds', dataset='imagenet2012', **image)
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
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
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
  config.evaluators.validation = dict(name='classification', split='validation', every='10 epochs')
  config.checkpoint.every = '10 epochs'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  config.data = dict(name='digits')
  config.model.update(variant='mu', num_classes=10, dtype='float32')
  config.model.stem = 'small'
  config.task.update(num_classes=10, augment='random_crop(padding=1)', mean=(0.5,), std=(0.5,))
  config.optim.update(schedule='cosine', warmup='10%')
  config.evaluators.validation.update(split='test', every='50%')
  config.checkpoint.every = '50%'
  config.duration, config.batch_size, config.log_every = '8 epochs', 64, '25 steps'
