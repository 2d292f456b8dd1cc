"""Going on with a text: as `generate` of Hugging Face, and beyond the context."""

import itertools

import jax
import numpy as np
import pytest
import torch
from _helpers import gpts

from vitlab import pretrained
from vitlab.ops.search import make_search
from vitlab.predict.continuation import Continuation

GREEDY = make_search(dict(name='greedy'))
SAMPLE = make_search(dict(name='sample', temperature=1.5, seed=3))


@pytest.fixture(scope='module')
def both(tmp_path_factory):
  """Hugging Face's, our model and its variables, in float64."""
  folder = tmp_path_factory.mktemp('gpt2')
  oracle = gpts.make('gpt2', bos_token_id=None, eos_token_id=None)
  oracle.save_pretrained(folder)
  with jax.enable_x64(True):
    return oracle, *gpts.in_double(pretrained.read(str(folder)))


def go_on(both, search=GREEDY, vocab_size=gpts.VOCAB):
  return Continuation(*both[1:], search, gpts.CONTEXT, vocab_size)


def said(continuation, prompt, count, samples=1):
  """Tokens [samples count] and their log-probabilities."""
  prompt = np.asarray(prompt, np.int32)
  pairs = list(itertools.islice(continuation(prompt, samples), count))
  return tuple(np.stack(column, axis=1) for column in zip(*pairs))


def generated(both, prompt, count):
  found = both[0].generate(torch.tensor([prompt]), max_new_tokens=count, do_sample=False)
  return found[0, len(prompt) :].tolist()


@pytest.mark.parametrize('length', [1, 2, 7, 12])
def test_the_most_probable_is_what_hugging_face_generates(length, both, x64):
  prompt, count = (np.arange(length) * 5 % gpts.VOCAB).tolist(), max(1, gpts.CONTEXT - length)
  tokens, gains = said(go_on(both), prompt, count)
  assert tokens[0].tolist() == generated(both, prompt, count)
  logits = gpts.logits(both[0], np.array([prompt + tokens[0].tolist()])[:, : gpts.CONTEXT])
  log_probability = np.array(jax.nn.log_softmax(logits[0, length - 1 :]))
  np.testing.assert_allclose(
    gains[0, : len(log_probability)], log_probability.max(-1)[:count], rtol=1e-5
  )


def test_beyond_its_context_it_goes_on_from_the_last_half(both, x64):
  tokens, _ = said(go_on(both), [3, 1, 4], 30)
  text = [3, 1, 4, *tokens[0].tolist()]
  for first in (13, 20, 27):  # of 12 that are known 6 stay, and 7 more may be said
    recent = text[first - 6 : first]
    assert text[first : first + 7][: 33 - first] == generated(both, recent, 7)[: 33 - first]


def test_samples_differ_from_one_another_and_are_the_same_again(both, x64):
  three, gains = said(go_on(both, SAMPLE), [3, 1, 4], 8, samples=3)
  assert len({tuple(row) for row in three.tolist()}) == 3
  again, _ = said(go_on(both, SAMPLE), [3, 1, 4], 8, samples=3)
  one, _ = said(go_on(both, SAMPLE), [3, 1, 4], 8)
  np.testing.assert_array_equal(again, three)
  np.testing.assert_array_equal(one[0], three[0])
  other = make_search(dict(name='sample', temperature=1.5, seed=4))
  assert (said(go_on(both, other), [3, 1, 4], 8, samples=3)[0] != three).any()
  texts = np.concatenate([np.tile([3, 1, 4], (3, 1)), three], axis=1).astype(np.int32)
  log_probability = jax.nn.log_softmax(jax.jit(both[1].apply)(both[2], texts)[0])[:, 2:-1]
  wanted = np.take_along_axis(np.asarray(log_probability), three[..., None], axis=-1)[..., 0]
  np.testing.assert_allclose(gains, wanted, rtol=1e-5)


def test_nothing_is_said_that_the_vocabulary_has_not(both, x64):
  tokens, gains = said(go_on(both, SAMPLE, vocab_size=2), [1, 0], 9, samples=4)
  assert set(tokens.reshape(-1)) == {0, 1}
  assert np.exp(gains).max() > 0.5  # probabilities among these alone
