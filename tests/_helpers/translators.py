"""Translators of the language of `text.py` with random weights, as `trained.load` gives them."""

import jax
import jax.numpy as jnp
from _helpers import runs, text

from vitlab.data import tokenizers
from vitlab.predict.trained import Trained
from vitlab.train import setup

RNN = dict(name='rnn_seq2seq', width=8)
TRANSFORMER = dict(name='transformer', variant='mu')


def trained(model, folder='runs/it', **task):
  vocabulary = tokenizers.train([line for side in text.sentences(300) for line in side], 'bpe', 310)
  facts = dict(vocab_size=310, vocabulary=vocabulary.pieces, tokenizer=vocabulary.text)
  config = runs.config(
    model=model | dict(vocab_size=None), task=dict(name='translation', max_ratio=0.5, **task)
  )
  task = setup.make_task(config, facts)
  batch = {key: jnp.ones((1, 4), jnp.int32) for key in ('tokens', 'targets')}
  variables = jax.jit(task.init)(jax.random.key(0), batch)
  return Trained(str(folder), 0, config, facts, task, variables)
