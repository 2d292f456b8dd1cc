"""What a masked language model is asked and graded on; the contract is in test_contract.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vitlab.errors import UserError
from vitlab.tasks import masked_lm

VOCAB, MASK = 12, 3
SPECIAL = dict(pad=0, cls=1, sep=2, mask=MASK)


class Echo(nn.Module):
  """Says that a token stands where it is read: right only where nothing was changed."""

  @nn.compact
  def __call__(self, tokens, segments=None, places=None, train=False):
    scale = self.param('scale', nn.initializers.constant(4.0), ())
    chosen = tokens if places is None else jnp.take_along_axis(tokens, places, axis=1)
    features = jax.nn.one_hot(tokens, VOCAB)
    out = dict(read=tokens, features=features, next_passage=scale * features[:, 0, :2])
    return scale * jax.nn.one_hot(chosen, VOCAB), out


def rows(count, length=20):
  """[CLS] words [SEP] and padding; words are numbers from 4 on."""
  random = np.random.default_rng(0)
  tokens = random.integers(4, VOCAB, (count, length), dtype=np.int32)
  ends = random.integers(5, length, count)
  at = np.arange(length)
  tokens = np.where(at < ends[:, None], tokens, np.where(at == ends[:, None], 2, 0))
  tokens[:, 0] = 1
  segments = (at <= ends[:, None]).astype(np.int32)
  return dict(tokens=tokens.astype(np.int32), segments=segments, index=np.arange(count))


def task(**words):
  return masked_lm.make(Echo(), VOCAB, SPECIAL, **words)


def test_the_loss_is_that_of_hidden_tokens():
  """80 % are replaced by the mask, and 10 % by some token: the echo is right on the others."""
  made, batch = task(share=0.3), rows(2000)
  variables = jax.jit(made.init)(jax.random.key(0), batch)
  loss = jax.jit(made.losses['model'])
  first, again, other = (loss(variables, batch, jax.random.key(i)) for i in (0, 0, 1))
  assert first.value == again.value != other.value
  right, count = first.metrics['masked_accuracy']
  words = (batch['tokens'] > 3).sum(1)
  assert int(count) == np.clip(np.round(0.3 * words), 1, 6).sum()
  share = float(right / count)
  assert abs(share - (0.1 + 0.1 / VOCAB)) < 4 * (0.1 * 0.9 / float(count)) ** 0.5
  log_total = np.log(np.exp(4.0) + VOCAB - 1)
  np.testing.assert_allclose(first.value, log_total - 4 * share, rtol=1e-5)


def test_an_evaluation_hides_by_the_number_of_the_example():
  made, batch = task(), rows(6)
  variables = jax.jit(made.init)(jax.random.key(0), batch)
  guesses = jax.jit(made.predict['guesses'])
  whole = guesses(variables, batch)
  order = np.array([4, 2, 0, 5, 1, 3])
  moved = guesses(variables, {name: x[order] for name, x in batch.items()})
  for name in whole:
    np.testing.assert_array_equal(whole[name][order], moved[name])
  anew = guesses(variables, batch | dict(index=np.arange(6) + 6))
  assert any((whole[name] != anew[name]).any() for name in ('place', 'counted'))
  hidden = np.take_along_axis(batch['tokens'], np.asarray(whole['place']), 1)
  counted = np.asarray(whole['counted'])
  assert (hidden[counted] > 3).all()
  np.testing.assert_array_equal(np.asarray(whole['target'])[counted], hidden[counted])


def test_the_next_passage_adds_its_own_mean():
  batch = rows(8) | dict(label=np.array([1, 0, 1, 1, 0, 1, 0, 1], np.int32))
  plain, both = task(), task(next_passage=True)
  key = jax.random.key(0)
  variables = jax.jit(plain.init)(key, batch)
  one, two = (jax.jit(made.losses['model'])(variables, batch, key) for made in (plain, both))
  # The echo of [CLS], token 1, says 1 with logits 0 and 4.
  more = np.mean([np.log(1 + np.exp(-4.0)) + 4 * (label == 0) for label in batch['label']])
  np.testing.assert_allclose(two.value, one.value + more, rtol=1e-5)
  right, count = two.metrics['next_accuracy']
  assert (float(right), float(count)) == (5.0, 8.0)


WRONG = {
  'share': (dict(share=1.0), 'share=1.0'),
  'mask': (dict(special=dict(pad=0)), r'no token that hides others'),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_cannot_be_is_said(case):
  words, message = WRONG[case]
  with pytest.raises(UserError, match=message):
    masked_lm.make(Echo(), VOCAB, **dict(special=SPECIAL) | words)


def test_what_a_config_says_of_text_that_is_not_here():
  found = masked_lm.assumed(dict(vocab_size=9, context=5), {})
  assert found.facts['vocab_size'] == 9 and found.example['tokens'].shape == (6,)
  assert masked_lm.assumed(dict(vocab_size=9), {}) is None
