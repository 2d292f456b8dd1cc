"""What every task promises to the loops: a new task is a new row of ROWS."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
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
SIZE = 8
# As many as in half a batch, which is compiled once for all that has this size.
MASK = np.array([True, True, True, False, True, False, False, False])


class Case(NamedTuple):
  """A task in use: player -> (variables, batch, key) -> (Loss, gradient), compiled."""

  row: Row
  task: Task
  variables: Any
  batch: dict[str, Any]
  steps: dict[str, Callable[..., Any]]


KEY = jax.random.key(1)


@functools.cache
def build(name: str) -> Case:
  """The case of a row, with a batch of which half is padding."""
  row = ROWS[name]
  task = row.task()
  batch = row.batch(np.random.default_rng(0), SIZE)
  batch = jax.tree.map(jnp.asarray, batch | {'mask': MASK})
  steps = {player: jax.jit(step(loss, player)) for player, loss in task.losses.items()}
  return Case(row, task, jax.jit(task.init)(jax.random.key(0), batch), batch, steps)


def step(loss, player):
  def run(variables, batch, key):
    def of(params):
      result = loss({**variables, player: {**variables[player], 'params': params}}, batch, key)
      return result.value, result._replace(outputs={})  # as the engine does

    gradient, result = jax.grad(of, has_aux=True)(variables[player]['params'])
    return result, gradient

  return run


@pytest.fixture(params=ROWS)
def case(request):
  return build(request.param)


@pytest.fixture(params=[name for name, row in ROWS.items() if row.independent and not row.random])
def independent_case(request):
  return build(request.param)


def close(a, b, **tolerance):
  jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), a, b)


def weighted(run, case, batch):
  result, gradient = run(case.variables, batch, KEY)
  return jax.tree.map(result.weight.__mul__, (result.value, gradient))


def test_players_own_their_variables(case):
  for player in case.task.losses:
    assert case.variables[player]['params']


def test_the_loss_is_a_float32_mean_of_its_metric(case):
  for run in case.steps.values():
    result, _ = run(case.variables, case.batch, KEY)
    assert result.value.shape == () and result.value.dtype == jnp.float32
    for total, count in result.metrics.values():
      assert total.shape == count.shape == ()
    total, count = result.metrics['loss']
    close(result.value, total / count, rtol=1e-6)


def test_what_mutates_keeps_its_structure(case):
  for run in case.steps.values():
    for player, collections in run(case.variables, case.batch, KEY)[0].mutated.items():
      assert set(collections) == set(case.variables[player]) - {'params'}
      for name, tree in collections.items():
        before = case.variables[player][name]
        assert jax.tree.map(jnp.shape, tree) == jax.tree.map(jnp.shape, before)


def test_padding_changes_nothing(case):
  kept = case.batch['mask']
  noise = case.row.batch(np.random.default_rng(1), SIZE)
  other = {
    name: jnp.where(kept.reshape(-1, *[1] * (x.ndim - 1)), case.batch[name], x)
    for name, x in noise.items()
  }
  assert all(jnp.any(x != case.batch[name]) for name, x in other.items())
  for run in case.steps.values():
    before = run(case.variables, case.batch, KEY)
    close(run(case.variables, {**other, 'mask': kept}, KEY), before, rtol=0)


def test_padding_has_no_weight(independent_case):
  case = independent_case
  short = {name: x[case.batch['mask']] for name, x in case.batch.items()}
  for run in case.steps.values():
    padded = run(case.variables, case.batch, KEY)
    close(run(case.variables, short, KEY), padded, rtol=1e-5, atol=1e-6)


def test_a_batch_of_padding_is_worth_nothing(case):
  batch = {**case.batch, 'mask': jnp.zeros(SIZE, bool)}
  for run in case.steps.values():
    result, gradient = run(case.variables, batch, KEY)
    assert float(result.weight) == 0 and float(result.value) == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


def test_weights_average_microbatches_to_the_whole(independent_case):
  """Of unequal counts: most of the padding lies in the second half."""
  case = independent_case
  half = SIZE // 2
  parts = [{name: x[i : i + half] for name, x in case.batch.items()} for i in (0, half)]
  for run in case.steps.values():
    first, second = (weighted(run, case, part) for part in parts)
    whole = weighted(run, case, case.batch)
    close(jax.tree.map(jnp.add, first, second), whole, rtol=1e-5, atol=1e-6)


def test_every_parameter_gets_a_gradient(case):
  for player, run in case.steps.items():
    _, gradient = run(case.variables, case.batch, KEY)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
      assert np.any(leaf), f'{player}{jax.tree_util.keystr(path)} gets no gradient'


def test_nothing_but_the_key_is_random(case):
  for run in case.steps.values():
    first, again = (run(case.variables, case.batch, KEY)[0] for _ in range(2))
    other, _ = run(case.variables, case.batch, jax.random.key(2))
    assert first.value == again.value
    assert (first.value != other.value) == case.row.random


def test_the_compiled_loss_equals_the_eager_one(case):
  for player, loss in case.task.losses.items():
    compiled, _ = case.steps[player](case.variables, case.batch, KEY)
    eager = loss(case.variables, case.batch, KEY)._replace(outputs={})
    close(compiled, eager, rtol=1e-5, atol=1e-6)


def test_predictions_are_rows_of_the_batch_and_independent_of_one_another(case):
  predictions = [case.task.predict[name] for name in case.row.predict]
  predict = jax.jit(lambda *args: [prediction(*args) for prediction in predictions])
  whole = predict(case.variables, case.batch)
  assert {leaf.shape[0] for leaf in jax.tree.leaves(whole)} == {SIZE}
  close(predict(case.variables, case.batch), whole, rtol=0)
  few, rows = (jax.tree.map(lambda x: x[2:5], tree) for tree in (case.batch, whole))
  close(predict(case.variables, few), rows, rtol=1e-5, atol=1e-6)
