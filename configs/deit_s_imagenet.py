"""DeiT: ViT-S/16 on ImageNet-1k, 300 epochs (2012.12877).

  command    python launch.py --config=configs/deit_s_imagenet.py
  hardware   4 or more accelerators; see --mode=inspect --topology=h100:4
  published  79.9 % top-1 (DeiT-S); not run here
  published  81.2 % distilled from a RegNetY-16GF of 82.9 %; not run here

`:teacher=WEIGHTS` distils, into a token and a head of its own, from whatever model of vitlab these
weights are (timm, Hugging Face or a workdir). It has no RegNet: expect another number.

ImageNet must have been prepared once by TensorFlow Datasets; or give `path`, a folder of
train/CLASS/*.JPEG and validation/CLASS/*.JPEG. `:smoke` needs neither: it learns bundled digits,
and `:smoke,teacher=WORKDIR` has a finished `:smoke` for a teacher.

Four differences from the paper: random boxes are cut on the device, out of the central square at
224 pixels, not out of the full photograph; no picture is repeated within a batch, which the paper
found to help (table 8); RandAugment has the operations of its own paper, not timm's; the weights
start as in Google's ViTs.
"""

from ml_collections import ConfigDict

from configs.common import imagenet
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`variant`: of the ViT; `teacher`: weights; `path`: a folder; `smoke`: seconds, on digits."""
  arg = parse_arg(arg, variant='S/16', teacher='', path='', smoke=False)
  config = base()
  config.duration = '300 epochs'
  config.batch_size = 1024
  config.num_workers = 16

  config.data = imagenet.data(arg.path)
  config.model = dict(
    name='vit',
    variant=arg.variant,
    num_classes=1000,
    pool='cls',
    mlp='gelu',
    drop_path_rate=0.1,
    dtype='bfloat16',
    scan=False,
    remat='',
  )
  config.task = dict(
    name='classification',
    num_classes=1000,
    label_smoothing=0.1,
    augment="resized_crop(interpolation='bicubic')|flip"
    '|rand_augment(num_layers=2, magnitude=9, magnitude_std=0.5)|random_erasing(0.25)'
    '|mixup_or_cutmix(mixup_alpha=0.8, cutmix_alpha=1.0)',
    **imagenet.NORMALISATION,
  )
  config.optim = dict(
    name='adamw',
    learning_rate=1e-3,  # 5e-4 for every 512 examples of the batch
    schedule='cosine',
    warmup='5 epochs',
    final_learning_rate=1e-5,
    weight_decay=0.05,
  )
  imagenet.evaluate(config, every='5 epochs')
  if arg.smoke:
    _smoke(config)
  if arg.teacher:
    _distil(config, arg.teacher)
  return config


def _distil(config: ConfigDict, weights: str) -> None:
  """Hard distillation; the weights say what the teacher is and how it wants its pictures."""
  teacher = dict(num_classes=config.task.num_classes, dtype=config.model.dtype)
  config.task = dict(
    name='distillation', task=config.task, teacher=teacher, kind='hard', weight=0.5
  )
  config.model.distillation_token = True
  config.init_from = dict(teacher=weights)


def _smoke(config: ConfigDict) -> None:
  imagenet.smoke(config, duration='10 epochs')
  config.model.update(variant='mu/2', drop_path_rate=0.0)
  config.optim.update(learning_rate=5e-3, warmup='10%')
