"""DeiT III: ViT-S/16 on ImageNet-1k, 800 epochs (2204.07118).

  command    python launch.py --config=configs/deit3_s16_imagenet.py
  hardware   8 or more accelerators; see --mode=inspect --topology=h100:8
  published  81.4 % top-1 (DeiT III), 81.44 % in 5.3 h on a TPU v4-64 (deit3-jax); not run here
  published  80.7 % with --config.duration='400 epochs' (deit3-jax); not run here

ImageNet must have been prepared once by TensorFlow Datasets; or give `path`, a folder of
train/CLASS/*.JPEG and validation/CLASS/*.JPEG. `:smoke` needs neither: it learns bundled digits.

Two differences from the paper: random boxes are cut on the device, out of the central square at 224
pixels, not out of the full photograph; and no picture is repeated within a batch.
"""

from ml_collections import ConfigDict

from configs.common import imagenet
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`variant`: of the ViT; `path`: a folder; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, variant='S/16', path='', smoke=False)
  config = base()
  config.duration = '800 epochs'
  config.batch_size = 2048
  config.num_workers = 16

  config.data = imagenet.data(arg.path, crop_fraction=1.0)
  config.model = dict(
    name='vit',
    variant=arg.variant,
    num_classes=1000,
    pool='cls',
    position_embedding='learned_patches',
    mlp='gelu',
    layer_scale=1e-4,
    drop_path_rate=0.05,
    dtype='bfloat16',
    scan=False,
    remat='',
  )
  config.task = dict(
    name='classification',
    num_classes=1000,
    loss='sigmoid',
    augment="resized_crop(interpolation='bicubic')|flip|three_augment"
    '|mixup_or_cutmix(mixup_alpha=0.8, cutmix_alpha=1.0)',
    **imagenet.NORMALISATION,
  )
  config.optim = dict(
    name='lamb',
    learning_rate=4e-3,
    schedule='cosine',
    warmup='5 epochs',
    final_learning_rate=1e-5,
    weight_decay=0.05,
    clip_norm=1.0,
  )
  imagenet.evaluate(config, every='10 epochs')
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  imagenet.smoke(config, duration='10 epochs')
  config.model.update(variant='mu/2', drop_path_rate=0.0, layer_scale=1.0)
  # LAMB and yes-or-no targets move a head that starts at zero too slowly for a run of seconds.
  config.task.loss = 'softmax'
  config.optim.update(name='adamw', learning_rate=5e-3, warmup='10%')
