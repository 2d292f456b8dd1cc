"""Skip-gram and CBOW are those of the papers: gensim's to the last digits, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gensim.models import Word2Vec

from vitlab import registry
from vitlab.errors import UserError
from vitlab.ops import losses
from vitlab.tasks import embedding

WIDTH, WINDOW, RATE = 8, 2, 0.5
TEXT = [
  'the dog ran to the man and the man saw the dog',
  'a cat and a dog saw a man',
  'the cat ran and the dog ran to a cat near the old man',
]
SENTENCES = [line.split() for line in TEXT]


def build(size, counts, **spec):
  model = registry.make('models', dict(name='word2vec', vocab_size=size, width=WIDTH))
  task = embedding.make(model, counts=counts, window=WINDOW, **spec)
  return task._replace(losses={'model': jax.jit(task.losses['model'])})


def state(source, target):
  tables = {
    name: {'embedding': jnp.asarray(x)} for name, x in [('source', source), ('target', target)]
  }
  return {'model': {'params': tables}}


def perturbed(size, seed=0):
  rng = np.random.default_rng(seed)
  return state(*(rng.normal(0, 0.3, (size, WIDTH)) for _ in range(2)))


def windows(length, reach=WINDOW):
  place = np.arange(length)
  return np.stack([np.minimum(place, reach), np.minimum(length - 1 - place, reach)], -1)


def loss_of(task, variables, tokens, window, key=0):
  batch = dict(tokens=jnp.asarray([tokens]), window=jnp.asarray([window], jnp.int32))
  return task.losses['model'](variables, batch, jax.random.key(key))


# --- gensim -------------------------------------------------------------------------------------


def by_gensim(skip_gram):
  """A model of theirs before it learns, and then after an epoch."""
  model = Word2Vec(
    vector_size=WIDTH,
    window=WINDOW,
    min_count=1,
    sg=skip_gram,
    hs=1,
    negative=0,
    sample=0,
    shrink_windows=False,
    workers=1,
    seed=3,
    alpha=RATE,
    min_alpha=RATE,
  )
  model.build_vocab(SENTENCES)
  yield model
  model.train(SENTENCES, total_examples=len(SENTENCES), epochs=1)
  yield model


def steps(predictor, sentence):
  """(tokens, window) of every update that word2vec.c makes of a sentence, one after the other."""
  for (left, right), place in zip(windows(len(sentence)), range(len(sentence))):
    if predictor == 'cbow':
      window = np.zeros((len(sentence), 2), int)
      window[place] = left, right
      yield sentence, window
      continue
    for context in [*range(place - left, place), *range(place + 1, place + right + 1)]:
      # there the context predicts the centre: over all of a text the same pairs
      yield [sentence[context], sentence[place]], [[0, 1], [0, 0]]


def sigmoid_by_table(logits):
  """As gensim has it: a thousand sigmoids between -6 and 6, in which it steps by whole numbers."""
  e = np.exp((np.arange(1000) / 1000 * 2 - 1) * 6).astype(np.float32)
  place = (logits + 6) * (1000 // 6 // 2)
  return jnp.asarray(e / (e + 1))[jnp.clip(place.astype(int), 0, 999)]


@jax.custom_vjp
def cross_entropy_by_table(logits, labels):
  return logits


def _slope_by_table(logits, labels):
  slope = jnp.where(jnp.abs(logits) < 6, sigmoid_by_table(logits) - labels, 0)
  return logits, slope


cross_entropy_by_table.defvjp(_slope_by_table, lambda slope, g: (g * slope, None))


def trained(predictor):
  """Theirs, and ours by our gradients in their order, from the same start."""
  models = by_gensim(int(predictor == 'skip_gram'))
  start = next(models).wv.vectors.copy()
  theirs = next(models)
  number = theirs.wv.key_to_index
  counts = [int(theirs.wv.get_vecattr(word, 'count')) for word in theirs.wv.index_to_key]
  task = build(len(counts), counts, predictor=predictor, output='hierarchical')

  @jax.jit
  def update(variables, tokens, window):
    batch = dict(tokens=tokens[None], window=window[None])
    slope = jax.grad(lambda v: task.losses['model'](v, batch, jax.random.key(0)).value)(variables)
    return jax.tree.map(lambda x, g: x - RATE * g, variables, slope)

  variables = state(start, np.zeros_like(start))
  longest = max(map(len, SENTENCES))
  for sentence in SENTENCES:
    for tokens, window in steps(predictor, [number[word] for word in sentence]):
      padding = [(0, longest - len(tokens))]
      window = np.pad(np.array(window), [*padding, (0, 0)])
      variables = update(variables, np.pad(np.array(tokens), padding), window)
  ours = variables['model']['params']
  return theirs, ours['source']['embedding'], ours['target']['embedding']


@pytest.mark.parametrize('predictor', embedding.PREDICTORS)
def test_one_epoch_of_hierarchical_softmax_equals_gensim(predictor, monkeypatch):
  monkeypatch.setattr(losses, 'binary_cross_entropy', cross_entropy_by_table)
  theirs, source, target = trained(predictor)
  assert np.abs(theirs.wv.vectors).max() > 0.1
  np.testing.assert_allclose(source, theirs.wv.vectors, atol=1e-6)
  np.testing.assert_allclose(target, theirs.syn1, atol=1e-6)


def test_with_the_whole_sigmoid_it_is_close(monkeypatch):
  theirs, source, _ = trained('skip_gram')
  found = np.corrcoef(np.ravel(source), theirs.wv.vectors.ravel())[0, 1]
  assert found > 0.99


# --- by hand, in float64 ------------------------------------------------------------------------

COUNTS = [50, 20, 20, 10, 5, 5, 1]
ROW = [1, 0, 4, 0, 2, 3, 0, 6, 5, 1]


def sentences_of(row):
  """Windows of two sentences, one behind the other."""
  return np.concatenate([windows(4), windows(len(row) - 4)])


def pairs_of(row, window):
  for place, (left, right) in enumerate(window):
    yield place, [i for i in range(place - left, place + right + 1) if i != place]


def by_hand(source, target, predictor, row, window, noise, negatives):
  """The loss of a row, pair by pair."""
  sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
  total, centres = 0.0, 0
  for place, contexts in pairs_of(row, window):
    centres += bool(contexts)
    centre = row[place]
    if predictor == 'cbow':
      mean = np.mean([source[row[i]] for i in contexts], axis=0) if contexts else None
      pairs = [(mean, centre)] if contexts else []
    else:
      pairs = [(source[centre], row[i]) for i in contexts]
    for vector, word in pairs:
      total -= np.log(sigmoid(vector @ target[word]))
      others = [n for n in noise if n != word]
      total -= sum(np.log(sigmoid(-vector @ target[n])) for n in others) * negatives / len(noise)
  return total / centres, centres


def drawn(key, shared):
  share = np.cumsum(np.array(COUNTS) ** 0.75) / np.sum(np.array(COUNTS) ** 0.75)
  return np.searchsorted(share, np.asarray(jax.random.uniform(jax.random.key(key), (1, shared)))[0])


@pytest.mark.parametrize('predictor', embedding.PREDICTORS)
def test_negative_sampling_is_the_sum_over_all_pairs(predictor, x64):
  variables = perturbed(len(COUNTS))
  source, target = (variables['model']['params'][k]['embedding'] for k in ('source', 'target'))
  task = build(len(COUNTS), COUNTS, predictor=predictor, negatives=3, shared=16)
  window = sentences_of(ROW)
  out = loss_of(task, variables, ROW, window, key=5)
  noise = drawn(5, 16)
  assert set(noise) & set(ROW)  # some of them are targets, and not their negatives
  value, centres = by_hand(source, target, predictor, ROW, window, noise, 3)
  assert float(out.weight) == centres == len(ROW)
  np.testing.assert_allclose(out.value, value, rtol=1e-6)
  assert out.metrics['loss'][0] / out.metrics['loss'][1] == out.value


@pytest.mark.parametrize('output', embedding.OUTPUTS)
@pytest.mark.parametrize('predictor', embedding.PREDICTORS)
def test_a_row_gives_the_same_however_it_is_cut(predictor, output, x64):
  """Blocks are a way to compute: the pairs of a long row are those of its words."""
  rng = np.random.default_rng(0)
  row = rng.integers(0, len(COUNTS), 3 * embedding.BLOCK + 5)
  variables = perturbed(len(COUNTS))
  task = build(len(COUNTS), COUNTS, predictor=predictor, output=output)
  whole = loss_of(task, variables, row, windows(len(row)))
  parts = []
  for place in range(len(row)):
    one = np.where(np.arange(len(row))[:, None] == place, windows(len(row)), 0)
    parts.append(loss_of(task, variables, row, one).value)
  np.testing.assert_allclose(whole.value, np.mean(parts), rtol=1e-6)


def test_hierarchical_softmax_is_a_distribution_over_the_words(x64):
  variables = perturbed(len(COUNTS))
  task = build(len(COUNTS), COUNTS, output='hierarchical')
  found = [
    float(loss_of(task, variables, [2, word], [[0, 1], [0, 0]]).value)
    for word in range(len(COUNTS))
  ]
  np.testing.assert_allclose(np.sum(np.exp(-np.array(found))), 1, rtol=1e-12)


def test_every_context_of_cbow_gets_the_whole_error(x64):
  variables = perturbed(len(COUNTS))
  task = build(len(COUNTS), COUNTS, predictor='cbow', output='hierarchical')
  window = np.array([[0, 0], [1, 1], [0, 0]])
  slope = jax.grad(lambda v: loss_of(task, v, [1, 2, 3], window).value)(variables)
  slope = slope['model']['params']['source']['embedding']
  mean = variables['model']['params']['source']['embedding'][jnp.array([1, 3])].mean(0)

  def loss_by(vector):
    changed = variables['model']['params']['source']['embedding'].at[4].set(vector)
    other = state(changed, variables['model']['params']['target']['embedding'])
    return loss_of(task, other, [4, 2], [[0, 0], [1, 0]]).value

  whole = jax.grad(loss_by)(mean)
  np.testing.assert_allclose(slope[1], whole, rtol=1e-6)
  np.testing.assert_allclose(slope[3], whole, rtol=1e-6)


def test_what_is_no_text_weighs_nothing():
  task, variables = build(len(COUNTS), COUNTS), perturbed(len(COUNTS))
  batch = dict(tokens=jnp.array([ROW, ROW]), window=jnp.asarray([windows(10)] * 2, jnp.int32))
  masked = batch | dict(mask=jnp.array([True, False]))
  empty = batch | dict(window=batch['window'] * jnp.array([1, 0])[:, None, None])
  key = jax.random.key(0)
  both, one, other = (task.losses['model'](variables, b, key) for b in (batch, masked, empty))
  assert float(both.weight) == 2 * len(ROW) and float(one.weight) == len(ROW)
  assert float(one.value) == float(other.value)
  nothing = batch | dict(mask=jnp.array([False, False]))
  assert task.losses['model'](variables, nothing, key).value == 0


def test_features_are_the_vectors_of_words():
  task, variables = build(len(COUNTS), None), perturbed(len(COUNTS))
  found = task.predict['features'](variables, dict(tokens=jnp.array([3, 0])))
  np.testing.assert_array_equal(
    found, variables['model']['params']['source']['embedding'][jnp.array([3, 0])]
  )
  with pytest.raises(UserError, match='counts of words and a window'):
    loss_of(task, variables, ROW, windows(10))


@pytest.mark.parametrize(
  'spec', [dict(predictor='glove'), dict(output='softmax'), dict(negatives=0), dict(shared=0)]
)
def test_what_cannot_be_is_refused(spec):
  with pytest.raises(UserError):
    build(len(COUNTS), COUNTS, **spec)


def test_an_example_and_what_a_config_assumes():
  found = embedding.assumed(dict(max_words=5, window=3), {})
  assert found.facts == dict(vocab_size=5, counts=[1] * 5, window=3)
  assert found.example['window'].shape == (*found.example['tokens'].shape, 2)
  assert embedding.assumed(dict(max_words=5), {}) is None
