"""CIFAR-10 in half an hour of two CPU cores: a small ResNet, ViT, Swin or TNT.

  command   python launch.py --config=configs/cifar10_small.py:model=resnet,path=cifar10.tar.gz
  hardware  2 CPU cores
  time      28 to 35 min, beside other work: at their own speed 26 (resnet), 23 (swin), 21 (vit)
  reached   test accuracy, seed 0: resnet 85.4 %, vit 77.7 %, swin 77.3 %, tnt 70.2 %

Of pictures as JPEG files of 0.9 kB each, which lost some of what there was to see. Without `path`
the set must have been prepared once by TensorFlow Datasets; with it, pictures lie as
train/CLASS/*.png and test/CLASS/*.png on disk, in a .zip or in a .tar. `:smoke` needs neither: it
learns the bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import cifar10, smoke
from vitlab.config import base, parse_arg
from vitlab.errors import unknown

MODELS = dict(
  resnet=dict(variant='18', depths=(1, 1, 1), width=32, stem='small'),
  vit=dict(variant='Ti/4', width=96, depth=6, num_heads=3, mlp_dim=192, pool='gap'),
  swin=dict(
    variant='T',
    patch_size=2,
    width=48,
    depths=(2, 2),
    num_heads=(2, 4),
    window_size=8,
    mlp_ratio=2.0,
    drop_path_rate=0.0,
  ),
  tnt=dict(
    variant='S',
    patch_size=8,
    inner_stride=2,
    width=96,
    depth=4,
    num_heads=3,
    mlp_dim=192,
    inner_width=12,
    inner_num_heads=2,
    pool='gap',
  ),
)
EPOCHS = dict(resnet=12, vit=12, swin=12, tnt=9)


def get_config(arg: str | None = None) -> ConfigDict:
  """`model`: one of `MODELS`; `path`: folder or archive; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, model='resnet', path='', smoke=False)
  if arg.model not in MODELS:
    raise unknown('model', arg.model, MODELS)
  config = base()
  config.duration = f'{EPOCHS[arg.model]} epochs'
  config.batch_size = 128
  config.ema_decay = 0.998

  config.data = cifar10.data(arg.path)
  config.model = dict(name=arg.model, num_classes=None, dtype='float32', **MODELS[arg.model])
  config.task = dict(
    name='classification',
    num_classes=None,
    augment='random_crop(padding=4)|flip',
    label_smoothing=0.1,
    **cifar10.NORMALISATION,
  )
  config.optim = dict(
    name='muon',
    learning_rate=1e-2 if arg.model == 'resnet' else 3e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.05,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='classification', split='test', every='1 epochs')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    smoke.digits(config, '4 epochs')
    if arg.model == 'resnet':
      config.model.width = 8
  return config
