"""Small language models: the recipe that they share, and how all of them are scored."""

from ml_collections import ConfigDict


def small(config: ConfigDict, variant: str, learning_rate: float) -> None:
  """A GPT with rotary positions and RMSNorm, and how it learns.

  Args:
    config: Changed in place; text and length are left to it.
    variant: Size of the GPT.
    learning_rate: Peak of the cosine.
  """
  config.model = dict(
    name='gpt',
    vocab_size=None,
    context=None,
    variant=variant,
    position_embedding='rope',
    norm='rmsnorm',
    dropout_rate=0.1,
  )
  learn(config, learning_rate)


def learn(config: ConfigDict, learning_rate: float) -> None:
  """How a small language model learns and goes on with a text: the task and AdamW."""
  config.task = dict(
    name='language_model', search=dict(name='sample', temperature=0.8), max_tokens=256
  )
  config.optim = dict(
    name='adamw',
    learning_rate=learning_rate,
    schedule='cosine',
    warmup='5%',
    weight_decay=0.1,
    b2=0.99,
    clip_norm=1.0,
  )


def evaluate(config: ConfigDict, every: str) -> None:
  """Scores 'val' every so often and keeps the best checkpoint by its perplexity."""
  config.evaluators.val = dict(name='perplexity', split='val', sizes=None, every=every)
  config.checkpoint.update(best='val/perplexity', best_mode='min')


def smoke(config: ConfigDict) -> None:
  """A run of seconds on the sonnets that ship; the model's size is left to the config."""
  config.data = dict(name='text', path='sonnets:', context=32)
  config.duration, config.log_every = '150 steps', '25 steps'
  config.optim.learning_rate = 1e-2
