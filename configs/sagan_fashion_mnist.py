"""SAGAN draws the ten garments of Fashion-MNIST, from its original .gz files.

  command   python launch.py --config=configs/sagan_fashion_mnist.py:path=FOLDER
  hardware  2 CPU cores
  time      32 CPU minutes by the time of its steps (430 ms of CPU each)
  reached   not run to its end: seen through a ResNet (92.1 %), after 1,350 steps a distance of 0.95
            (real halves: 0.04), 90 % recognised, but a recall of 5 %: too much alike

FOLDER holds the four files of github.com/zalandoresearch/fashion-mnist; by default it is
data/fashion_mnist. `encoder=WORKDIR`, of `configs/vit_fashion_mnist.py` for example, is what the
samples are looked at through, else they are compared pixel by pixel. `attention=false` is the same
without attention. `:smoke` needs no file: it draws the bundled digits.
"""

from ml_collections import ConfigDict

from configs.common import gan
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the folder; `encoder`: weights; `attention`; `smoke`: a run of seconds on digits."""
  arg = parse_arg(arg, path='data/fashion_mnist', encoder='', attention=True, smoke=False)
  config = base()
  config.duration = '4500 steps'  # an hour of CPU time
  config.batch_size = 64
  config.ema_decay = 0.999

  config.data = dict(name='idx', path=arg.path)
  config.model = dict(
    name='sagan',
    variant='16',
    bottom=7,  # maps of 7, 14 and 28 pixels
    width=24,
    attention=(14,) if arg.attention else (),
    noise_width=64,
    num_classes=None,
    image=None,
    dtype='float32',
  )
  config.task = dict(name='gan', num_classes=None, loss='relativistic', r1=1.0, r2=1.0)
  config.optim = gan.optim(1e-3, 1e-3)
  if arg.smoke:
    gan.smoke(config)
  gan.judge(config, 'test', '50%' if arg.smoke else '10%', arg.encoder)
  return config
