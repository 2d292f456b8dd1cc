"""The tasks that are held to the contract: a new task is a new row of ROWS."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from _helpers import players, tiny
from _helpers.drawn_batches import (
  images,
  numbered_images,
  passages,
  sentences,
  tagged,
  texts,
  windows,
)

from vitlab.models import bert, gpt, reformer, rnn_seq2seq, transformer, word2vec, xlnet
from vitlab.ops import search
from vitlab.tasks import (
  Task,
  classification,
  distillation,
  embedding,
  gan,
  language_model,
  masked_lm,
  permutation_lm,
  text_classification,
  token_classification,
  translation,
)


class Row(NamedTuple):
  """A task to hold to the contract.

  Attributes:
    task: Builds it.
    batch: (generator, size) -> a batch of NumPy arrays without a mask.
    predict: The names of the predictions that this one's model can give.
    random: The key has an influence on the loss.
    independent: No example has one on another's loss (mixing and batch statistics do).
  """

  task: Callable[[], Task]
  batch: Callable[[np.random.Generator, int], dict[str, Any]]
  predict: tuple[str, ...]
  random: bool = False
  independent: bool = True


def classify(model, *, attention=False, augment='', spec=(), **row):
  predict = ('logits', 'probabilities', 'features', 'intermediates')
  predict += ('attention',) * attention
  task = functools.partial(classification.make, model, 3, augment=augment, **dict(spec))
  return Row(task, images, predict, **row)


def distil(kind, student, **row):
  return classify(student, **row)._replace(
    task=lambda: distillation.make(
      classification.make(student, 3, augment=row.get('augment', '')), tiny.ConvNet(), kind
    )
  )


def translate(model, attention=True, search=search.GREEDY, **row):
  predict = ('logits', 'scores', 'decoded') + ('cross_attention',) * attention
  task = functools.partial(translation.make, model, label_smoothing=0.1, search=search)
  return Row(task, sentences, predict, **row)


def speak(model, **row):
  task = functools.partial(language_model.make, model, label_smoothing=0.1)
  return Row(task, texts, ('logits', 'scores', 'attention'), **row)


BERT = functools.partial(bert.make, 9, 'mu', depth=1, max_length=8, dropout_rate=0.0)
XLNET = functools.partial(xlnet.make, 9, 'mu', depth=1, dropout_rate=0.0)
RNN = functools.partial(rnn_seq2seq.make, 9, width=4)
GPT = functools.partial(gpt.make, 9, 'mu', depth=1, context=7, dropout_rate=0.0)
REFORMER = functools.partial(
  reformer.make, 9, 'mu', depth=2, context=8, lsh_chunk=2, local_chunk=4, dropout_rate=0.0
)
TRANSFORMER = functools.partial(transformer.make, 9, 'mu', depth=1, dropout_rate=0.0)


def hide(**words):
  task = functools.partial(masked_lm.make, BERT(**words), 9, dict(mask=3, pad=0), share=0.4)
  task = functools.partial(task, next_passage=words.get('next_passage', False))
  return Row(task, passages, ('logits', 'guesses', 'features', 'attention'), random=True)


def permute():
  task = functools.partial(permutation_lm.make, XLNET(), dict(pad=0), share=0.4)
  predict = ('logits', 'guesses', 'guesses_at_once', 'features', 'attention')
  return Row(task, passages, predict, random=True)


def classify_texts(make=BERT, **row):
  model = make(head='text', num_classes=2, dropout_rate=0.5 * row.get('random', False))
  task = functools.partial(text_classification.make, model, 2, label_smoothing=0.1)
  return Row(task, passages, ('logits', 'probabilities', 'features', 'attention'), **row)


def tag_words():
  model = BERT(head='tokens', num_classes=3, pooler=False)
  task = functools.partial(token_classification.make, model, 3, label_smoothing=0.1)
  predict = ('logits', 'probabilities', 'scores', 'features', 'attention')
  return Row(task, tagged, predict)


def embed(**spec):
  """Of vectors in training: at its start, what words are predicted by is zero."""

  def task():
    made = embedding.make(word2vec.make(9, width=4), [9, 8, 7, 6, 5, 4, 3, 2, 1], 2, **spec)
    moved = lambda x: x + jax.random.normal(jax.random.key(3), x.shape)  # noqa: E731
    return made._replace(init=lambda *args: jax.tree.map(moved, made.init(*args)))

  return Row(task, windows, ('features',), random=spec.get('output') != 'hierarchical')


def play(num_classes=3, **spec):
  """Batch statistics of the generator are of all rows."""
  model = players.Players(num_classes)
  task = functools.partial(gan.make, model, 3, **spec)
  predict = ('samples', 'attention', 'features', 'sample_features')
  predict += ('sample_logits',) * ('encoder' in spec)
  return Row(task, numbered_images, predict, random=True, independent=False)


AUGMENT = 'random_crop(2)|flip|mixup(0.8)'
ROWS = {
  'classification': classify(tiny.Attention(), attention=True),
  'sigmoid': classify(tiny.Perceptron(), spec=dict(loss='sigmoid', label_smoothing=0.1)),
  'dropout': classify(tiny.Perceptron(dropout_rate=0.5), random=True),
  'batch_norm': classify(tiny.ConvNet(), independent=False),
  'hard_distillation': distil('hard', tiny.Distilled()),
  'soft_distillation': distil('soft', tiny.Attention(), attention=True),
  'rnn': translate(RNN(dropout_rate=0.5), attention=False, random=True),
  'rnn_attention': translate(
    RNN(cell='gru', attention='additive', bidirectional=True),
    search=dict(name='sample', samples=2, top_k=3, top_p=0.9),
  ),
  'transformer': translate(TRANSFORMER(), search=dict(name='beam', beams=2, coverage_penalty=0.2)),
  'language_model': speak(GPT()),
  'reformer': speak(REFORMER(attn_layers=('lsh', 'local')), random=True),
  'masked_lm': hide(pooler=False),
  'masked_lm_and_next_passage': hide(next_passage=True),
  'permutation_lm': permute(),
  'text_classification': classify_texts(),
  'text_classification_last': classify_texts(XLNET),
  'text_classification_dropout': classify_texts(random=True),
  'token_classification': tag_words(),
  'skip_gram': embed(shared=8),
  'cbow': embed(predictor='cbow', output='hierarchical'),
  'gan': play(diff_augment='translation'),
  'gan_without_classes': play(0, loss='non_saturating', r1=0.5, encoder=tiny.ConvNet()),
  'gan_of_pairs': play(loss='relativistic', r1=0.5, r2=2.0, truncation=0.7),
  'augment': classify(tiny.Perceptron(), augment=AUGMENT, random=True, independent=False),
}
