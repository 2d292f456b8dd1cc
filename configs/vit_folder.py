"""ViT on your own pictures: one folder a class, or an archive.

  command   python launch.py --config=configs/vit_folder.py:path=photos
  hardware  1 GPU; with size=64,variant=mu/8 a CPU
  time      depends on your pictures
  reached   depends on your pictures

Pictures lie as CLASS/*.jpg, of which a tenth of every class is held out for testing, or as
train/CLASS/*.jpg and test/CLASS/*.jpg; Training, Testing, valid and the like will do, too. Then
label new ones:

  python launch.py --mode=predict --config=configs/vit_folder.py:path=photos new.jpg

`:smoke` needs no pictures: it learns the bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import smoke
from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: folder or archive; `size`: pixels; `variant`: of the ViT; `smoke`: seconds, digits."""
  arg = parse_arg(arg, path='', size=128, variant='Ti/16', smoke=False)
  if not arg.path and not arg.smoke:
    raise UserError(
      'configs/vit_folder.py needs your pictures: --config=configs/vit_folder.py:path=FOLDER'
    )
  config = base()
  config.duration = '100 epochs'
  config.batch_size = 64
  config.num_workers = 0

  config.data = dict(name='folder', path=arg.path, image_size=arg.size, resize='crop')
  config.model = dict(
    name='vit',
    variant=arg.variant,
    num_classes=None,
    pool='gap',
    position_embedding='sincos_2d',
    drop_path_rate=0.1,
    dtype='float32',
  )
  config.task = dict(
    name='classification',
    num_classes=None,
    augment='resized_crop(scale=(0.25, 1.0))|flip|three_augment|mixup_or_cutmix',
    label_smoothing=0.1,
  )
  config.optim = dict(
    name='adamw',
    learning_rate=5e-4,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.05,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='classification', split='test|val', every='5%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.digits(config)
  config.model.update(variant='mu/2', drop_path_rate=0.0)
  config.optim.learning_rate = 5e-3
