"""A GPT of characters on Shakespeare's sonnets, which ship with vitlab.

  command   python launch.py --config=configs/gpt_shakespeare_char.py
  hardware  2 CPU cores
  time      54 s (2 cores of an AMD EPYC, jax 0.10.2)
  reached   2.41 bits a character (perplexity 5.33) on the last tenth (seed 0)

Then it goes on with your words:

  echo "Shall I compare thee" | python launch.py --mode=predict --workdir=runs/gpt_shakespeare_char
"""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`smoke`: a run of seconds."""
  arg = parse_arg(arg, smoke=False)
  config = base()
  config.duration = '1500 steps'
  config.batch_size = 16
  config.data = dict(name='text', path='sonnets:', context=64)
  config.model = dict(
    name='gpt',
    vocab_size=None,
    context=None,
    variant='tiny',
    position_embedding='rope',
    norm='rmsnorm',
    dropout_rate=0.1,
  )
  config.task = dict(
    name='language_model', search=dict(name='sample', temperature=0.8), max_tokens=256
  )
  config.optim = dict(
    name='adamw',
    learning_rate=2e-3,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.1,
    b2=0.99,
    clip_norm=1.0,
  )
  config.evaluators.val = dict(name='perplexity', split='val', sizes=None, every='20%')
  config.checkpoint.update(best='val/perplexity', best_mode='min')
  if arg.smoke:
    config.duration, config.log_every = '150 steps', '25 steps'
    config.data.context = 32
    config.model.update(width=32, depth=2, mlp_dim=64)
    config.optim.learning_rate = 1e-2
  return config
