"""A GPT of characters on Shakespeare's sonnets, which ship with vitlab.

  command   python launch.py --config=configs/gpt_shakespeare_char.py
  hardware  2 CPU cores
  time      54 s (2 cores of an AMD EPYC, jax 0.10.2)
  reached   2.41 bits a character (perplexity 5.33) on the last tenth (seed 0)

On a terminal it ends with a sample. Then it goes on with your words:

  echo "Shall I compare thee" | python launch.py --mode=predict --workdir=runs/gpt_shakespeare_char

`:gpu` is nanoGPT's recipe for one GPU, to be run on the text that its number is of, the input.txt
of karpathy/char-rnn:

  command   python launch.py --config=configs/gpt_shakespeare_char.py:gpu,path=input.txt
  hardware  1 A100 (published: 3 min)
  published 1.4697 nats a character on the last tenth (github.com/karpathy/nanoGPT); not run to its
            end here
"""

from ml_collections import ConfigDict

from configs.common import gpt
from vitlab.config import base, parse_arg


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: another text; `gpu`: nanoGPT's recipe; `smoke`: a run of seconds."""
  arg = parse_arg(arg, path='sonnets:', gpu=False, smoke=False)
  config = base()
  config.duration = '1500 steps'
  config.batch_size = 16
  config.data = dict(name='text', path=arg.path, context=64)
  gpt.small(config, 'tiny', learning_rate=2e-3)
  gpt.evaluate(config, every='20%')
  if arg.gpu:
    _gpu(config)
  if arg.smoke:
    gpt.smoke(config)
    config.model.update(width=32, depth=2, num_heads=4, mlp_dim=64)
  return config


def _gpu(config: ConfigDict) -> None:
  """nanoGPT's config/train_shakespeare_char.py, with GPT-2's biases, which it leaves out."""
  config.duration, config.batch_size = '5000 steps', 64
  config.data.context = 256
  config.model = dict(
    name='gpt',
    vocab_size=None,
    context=None,
    width=384,
    depth=6,
    num_heads=6,
    mlp_dim=4 * 384,
    mlp='gelu',
    dropout_rate=0.2,
    attention_dropout_rate=0.2,
    dtype='bfloat16',
  )
  config.optim = dict(
    name='adamw',
    learning_rate=1e-3,
    final_learning_rate=1e-4,
    schedule='cosine',
    warmup='100 steps',
    weight_decay=0.1,
    decay_mask=r'(^|/)(kernel|embedding|table)$',
    b2=0.99,
    clip_norm=1.0,
  )
  config.evaluators.val.every = '250 steps'
