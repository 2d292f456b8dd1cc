"""A GPT of characters on Shakespeare's sonnets, which ship with vitlab.

  command   python launch.py --config=configs/gpt_shakespeare_char.py
  hardware  2 CPU cores
  time      54 s (2 cores of an AMD EPYC, jax 0.10.2)
  reached   2.41 bits a character (perplexity 5.33) on the last tenth (seed 0)

Then it goes on with your words:

  echo "Shall I compare thee" | python launch.py --mode=predict --workdir=runs/gpt_shakespeare_char
"""

from ml_collections import ConfigDict

from configs.common import gpt
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`smoke`: a run of seconds."""
  arg = parse_arg(arg, smoke=False)
  config = base()
  config.duration = '1500 steps'
  config.batch_size = 16
  config.data = dict(name='text', path='sonnets:', context=64)
  gpt.small(config, 'tiny', learning_rate=2e-3)
  gpt.evaluate(config, every='20%')
  if arg.smoke:
    gpt.smoke(config)
    config.model.update(width=32, depth=2, mlp_dim=64)
  return config
