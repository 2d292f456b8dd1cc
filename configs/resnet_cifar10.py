"""ResNet-18 on CIFAR-10, from TFDS or from a folder or archive.

  command   python launch.py --config=configs/resnet_cifar10.py
            python launch.py --config=configs/resnet_cifar10.py:path=cifar10.tar.gz
  hardware  1 GPU
  published 93.02 % (github.com/kuangliu/pytorch-cifar, a ResNet-18 of this stem); not run here

Without `path` the set must have been prepared once by TensorFlow Datasets; with it, pictures lie as
train/CLASS/*.png and test/CLASS/*.png on disk, in a .zip or in a .tar. `:smoke` needs neither: it
learns the bundled digits.
"""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`variant`: of the ResNet; `path`: folder or archive; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, variant='18', path='', smoke=False)
  config = base()
  config.duration = '200 epochs'
  config.batch_size = 128

  if arg.path:
    config.data = dict(name='folder', path=arg.path, image_size=32)
  else:
    config.data = dict(name='tfds', dataset='cifar10', image_size=32)
  config.model = dict(
    name='resnet',
    variant=arg.variant,
    stem='small',
    num_classes=None,
    dtype='bfloat16',
  )
  config.task = dict(
    name='classification',
    num_classes=None,
    augment='random_crop(padding=4)|flip',
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
  )
  config.optim = dict(
    name='sgd',
    learning_rate=0.1,
    momentum=0.9,
    schedule='cosine',
    weight_decay=5e-4,
    decay_mask='.',  # norms too, as there
  )
  config.evaluators.test = dict(name='classification', split='test', every='5%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  config.data = dict(name='digits')
  config.evaluators.test.every = '50%'
  config.model.update(variant='mu', dtype='float32')
  config.task.update(augment='random_crop(padding=1)', mean=(0.5,), std=(0.5,))
  config.optim.warmup = '10%'
  config.duration, config.batch_size, config.log_every = '8 epochs', 64, '25 steps'
