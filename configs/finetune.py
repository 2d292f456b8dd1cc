"""Fine-tuning: weights somebody has trained, on your own pictures.

  command   python launch.py --config=configs/finetune.py:weights=FOLDER,path=photos
  hardware  1 GPU; a CPU for small models
  time      depends on your pictures
  reached   depends on your pictures

`weights` is a folder of timm or Hugging Face (config.json and model.safetensors), an .npz of AugReg
or the workdir of a run: it decides model, image size and normalisation; its classifier is replaced.
Pictures lie as CLASS/*.jpg, of which a tenth of every class is held out for testing, or as
train/CLASS/*.jpg and test/CLASS/*.jpg. `:smoke` needs neither: it learns the bundled digits, from
scratch.
"""

from ml_collections import ConfigDict

from configs.common import smoke
from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`weights`, `path`: of the pictures; `epochs`; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, weights='', path='', epochs=30, smoke=False)
  if not arg.smoke and not (arg.weights and arg.path):
    raise UserError(
      'configs/finetune.py needs weights and pictures: '
      '--config=configs/finetune.py:weights=FOLDER,path=FOLDER'
    )
  config = base()
  config.duration = f'{arg.epochs} epochs'
  config.batch_size = 64
  config.ema_decay = 0.99

  # What is None comes from the weights.
  config.data = dict(name='folder', path=arg.path, image_size=None, resize=None)
  config.init_from = dict(path=arg.weights, head='new')
  config.model = dict(num_classes=None, drop_path_rate=0.1)
  config.task = dict(
    name='classification',
    num_classes=None,
    augment="resized_crop(scale=(0.25, 1.0), interpolation='bicubic')|flip"
    '|rand_augment(num_layers=2, magnitude=9.0)|mixup_or_cutmix(mixup_alpha=0.8, cutmix_alpha=1.0)',
    label_smoothing=0.1,
    mean=None,
    std=None,
  )
  config.optim = dict(
    name='adamw',
    learning_rate=5e-4,
    schedule='cosine',
    warmup='10%',
    weight_decay=0.05,
    layer_decay=0.75,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='classification', split='test|val', every='10%')
  config.checkpoint.best = 'test/accuracy'
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.digits(config)
  config.init_from = None
  config.model = dict(name='vit', variant='mu/2', num_classes=None)
  config.optim.update(learning_rate=5e-3, layer_decay=0.9)
