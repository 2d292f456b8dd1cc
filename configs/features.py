"""Features of weights, on your own pictures and without training: kNN and probe.

  command   python launch.py --mode=eval --workdir=WEIGHTS --config=configs/features.py:path=photos
  hardware  a CPU; a GPU for large models or many pictures
  time      depends on your pictures
  reached   depends on your pictures

WEIGHTS is a folder of timm or Hugging Face (config.json and model.safetensors), an .npz of AugReg
or the workdir of a run. It decides the model and how pictures are prepared; its classifier is not
read. Give --output=FILE.json to keep the numbers. Pictures lie as CLASS/*.jpg, of which a tenth of
every class is held out for testing, or as train/CLASS/*.jpg and test/CLASS/*.jpg. `:smoke` needs
neither: it reads the features of a small ViT that has seen the bundled digits for seconds.
"""

from ml_collections import ConfigDict

from configs.common import smoke
from vitlab.config import base, parse_arg
from vitlab.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: of the pictures; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='', smoke=False)
  if not arg.smoke and not arg.path:
    raise UserError(
      'configs/features.py needs pictures, and --workdir the weights: '
      '--mode=eval --workdir=WEIGHTS --config=configs/features.py:path=FOLDER'
    )
  config = base()
  config.batch_size = 32

  # What is None or not said comes from the weights.
  config.data = dict(name='folder', path=arg.path, image_size=None)
  config.init_from = dict(head='new')  # no path: what --mode=eval is given
  config.model = dict(num_classes=None)
  config.task = dict(name='classification', num_classes=None, mean=None, std=None)
  config.optim = dict(name='sgd', learning_rate=0.0)  # nothing is trained
  config.evaluators.neighbours = dict(name='nearest_neighbours', every='100%')
  config.evaluators.probe = dict(name='linear_probe', every='100%')
  if arg.smoke:
    _smoke(config)
  return config


def _smoke(config: ConfigDict) -> None:
  smoke.digits(config)
  config.init_from = None
  config.model = dict(name='vit', variant='mu/2', num_classes=None)
  config.optim = dict(name='adamw', learning_rate=5e-3, schedule='cosine')
