"""What is seen of a language model: baselines, loss by place, heads, samples, each on its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import runs, text

from vitlab import registry
from vitlab.errors import UserError
from vitlab.ops import head_roles, ngrams
from vitlab.predict.trained import Trained
from vitlab.report.language_model import collected
from vitlab.train import setup

CONTEXT = 8
VAL = dict(val=dict(name='perplexity', split='val', sizes=None))


def trained(folder, evaluators=VAL, model=(), **data):
  """A GPT of random weights, and its text in a file."""
  path = folder / 'book.txt'
  path.write_text('\n'.join(text.sentences(40)[0]))
  data = dict(name='text', path=str(path), context=CONTEXT, cache=str(folder / 'cache')) | data
  spec = dict(name='gpt', variant='mu', vocab_size=None, context=None) | dict(model)
  task = dict(name='language_model', search=dict(name='sample'))
  config = runs.config(data=data, model=spec, task=task, evaluators=evaluators)
  dataset = registry.make('data.sets', data)
  made = setup.make_task(config, dataset.facts)
  batch = dict(tokens=jax.ShapeDtypeStruct((1, CONTEXT + 1), np.int32))
  shapes, random = jax.eval_shape(made.init, jax.random.key(0), batch), np.random.default_rng(0)
  variables = jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.3, x.shape), x.dtype), shapes)
  return Trained('runs/it', 0, config, dataset.facts, made, variables), dataset


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  return trained(tmp_path_factory.mktemp('text'))


@pytest.fixture(scope='module')
def seen(model):
  return collected.look(model[0])


def test_baselines_are_of_every_token_that_is_scored(model, seen):
  train, val = (model[1].splits[split].tokens.astype(int) for split in ('train', 'val'))
  (begin,) = model[1].splits['val'][0]['tokens'][:1]
  counts = ngrams.count(train, model[1].facts['vocab_size'])
  assert seen.split == 'val' and seen.baselines.vocab_size == model[1].facts['vocab_size']
  assert seen.baselines.unigram == pytest.approx(ngrams.unigram(counts, val).mean(), rel=1e-9)
  before = np.concatenate([[begin], val[:-1]])
  wanted = ngrams.bigram(counts, before, val).mean()
  assert seen.baselines.bigram == pytest.approx(wanted, rel=1e-9)


def test_baselines_do_not_cross_from_one_document_into_another(tmp_path):
  _, dataset = trained(tmp_path, pack='line', context=16)
  source = dataset.splits['val']
  counts = ngrams.count(dataset.splits['train'].tokens, dataset.facts['vocab_size'])
  losses = []
  for row in (source[i] for i in range(len(source))):
    for t in range(16):
      a, b = row['segments'][t : t + 2]
      if a == b != 0 and row['scored'][t]:
        pair = row['tokens'][t : t + 1], row['tokens'][t + 1 : t + 2]
        losses.append(ngrams.bigram(counts, *pair)[0])
  found = collected.baselines(dataset.splits['train'], source, dataset.facts['vocab_size'])
  assert found.bigram == pytest.approx(np.mean(losses), rel=1e-9)


def test_the_loss_by_place_is_that_of_whole_rows(model, seen):
  trained_, dataset = model
  source = dataset.splits['val']
  tokens = np.stack([source[i]['tokens'] for i in range(len(source))])
  nll = np.asarray(
    trained_.task.predict['scores'](trained_.variables, dict(tokens=jnp.asarray(tokens)))['nll']
  )
  assert seen.places.last.tolist() == [1, 2, 4, 8]
  assert seen.places.count.tolist() == [len(source) * n for n in (1, 1, 2, 4)]
  wanted = [nll[:, part].mean() for part in (slice(1), slice(1, 2), slice(2, 4), slice(4, 8))]
  np.testing.assert_allclose(seen.places.loss, wanted, rtol=1e-5)


def test_places_double():
  found = collected.by_place(np.arange(1.0, 7), np.array([1, 3, 4, 5, 5, 6]))
  assert found.last.tolist() == [1, 4, 6] and found.count.tolist() == [1, 2, 3]
  assert found.loss.tolist() == [1, 2.5, 5]


def test_heads_are_those_of_the_model(model, seen):
  trained_, dataset = model
  source = dataset.splits['val']
  share = seen.roles.share
  assert share.shape == (2, len(head_roles.ROLES), 2)
  assert seen.roles.places == len(source) * (CONTEXT - 1)
  tokens = np.stack([source[i]['tokens'] for i in range(len(source))])
  layers = trained_.task.predict['attention'](trained_.variables, dict(tokens=jnp.asarray(tokens)))
  for layer, weights in enumerate(layers):
    wanted = np.asarray(weights)[:, :, np.arange(1, CONTEXT), np.arange(CONTEXT - 1)].mean((0, 2))
    np.testing.assert_allclose(share[layer, 0], wanted, rtol=1e-4)
  middle = len(source) // 2
  wanted = np.stack([np.asarray(weights)[middle] for weights in layers])
  np.testing.assert_allclose(seen.text.weights / 255, wanted, atol=0.5 / 255 + 1e-6)
  assert len(seen.text.pieces) == CONTEXT and all(len(piece) == 1 for piece in seen.text.pieces)


def test_a_glimpse_is_the_beginning_of_a_sample_and_safe_on_a_terminal():
  seen = collected.Seen(samples=('\n\nTo be\x1b[2J,\n  or not' + 'x' * 999, 'another'))
  first, second = collected.glimpse(seen).split('\n')
  assert (first, second[:8]) == ('To be\\x1b[2J,', '  or not') and len(second) < collected.GLIMPSE
  assert collected.glimpse(collected.Seen()) == ''


def test_samples_are_what_the_search_draws(model, seen):
  assert len(seen.samples) == collected.SAMPLES == len(set(seen.samples))
  assert all(len(one) == collected.SAID for one in seen.samples)
  assert collected.samples(model[0]) == list(seen.samples)


def test_of_several_runs_only_what_is_compared_is_looked_at(model):
  seen = collected.look(model[0], alone=False)
  assert seen.places and seen.baselines and not (seen.samples or seen.roles or seen.text)


def test_without_its_text_a_model_still_writes(model, caplog):
  config = model[0].config.copy_and_resolve_references()
  config.data.path = 'gone.txt'
  seen = collected.look(model[0]._replace(config=config))
  assert len(seen.samples) == 3 and seen.places is None is seen.roles
  assert 'gone.txt' in caplog.text


def test_another_text_is_not_taken_for_its_own(model, caplog):
  facts = dict(model[0].facts, tokenizer='other')
  seen = collected.look(model[0]._replace(facts=facts), alone=False)
  assert seen.baselines is None and 'have changed' in caplog.text


def broken(variables, batch):
  raise ValueError('broken')


@pytest.mark.parametrize('attention, warned', [({}, False), (dict(attention=broken), True)])
def test_what_cannot_be_looked_at_leaves_the_rest(attention, warned, model, caplog):
  """A model without attention is no cause for a warning."""
  predict = {k: f for k, f in model[0].task.predict.items() if k != 'attention'} | attention
  without = model[0]._replace(task=model[0].task._replace(predict=predict))
  seen = collected.look(without)
  assert seen.roles is None and seen.places is not None and seen.samples
  assert ('its heads' in caplog.text) == warned


def test_a_run_without_an_evaluator_has_no_split(tmp_path):
  with pytest.raises(UserError, match='no evaluator'):
    collected._data(trained(tmp_path, evaluators={})[0])


def test_packed_rows_are_looked_at_within_their_documents(tmp_path):
  model, dataset = trained(tmp_path, pack='line', context=48)
  roles, shown = collected.look_at_heads(model, dataset.splits['val'])
  assert roles.places > 0
  # A head that looks everywhere alike sees the first token of its own document.
  assert (roles.share <= 1 + 1e-5).all() and (roles.share[:, 1] > 0).all()
  assert len(shown.pieces) == shown.weights.shape[-1] <= 48
  sums = shown.weights.astype(int).sum(-1)
  assert (abs(sums - 255) <= 24).all()


@pytest.mark.parametrize(
  ('most', 'work', 'found'), [(100, 1e9, 100), (10**9, 2e6, 100), (10**9, 1.0, 32)]
)
def test_large_models_read_less(most, work, found):
  model = Trained('', 0, None, {}, None, {'model': {'params': np.zeros((200, 100))}})
  assert collected.affordable(model, most, work) == found
