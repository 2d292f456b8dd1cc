"""Rows of integers."""

import jax.numpy as jnp
import numpy as np

from vitlab.ops import tokens


def test_the_decoder_reads_what_was_said_before():
  targets = jnp.array([[5, 6, tokens.EOS, tokens.PAD], [7, tokens.EOS, tokens.PAD, tokens.PAD]])
  inputs = tokens.shift_right(targets)
  np.testing.assert_array_equal(inputs, [[1, 5, 6, 2], [1, 7, 2, 0]])
  np.testing.assert_array_equal(tokens.shift_right(targets, start=0)[:, 0], 0)
  np.testing.assert_array_equal(tokens.is_token(targets), [[1, 1, 1, 0], [1, 1, 0, 0]])


def test_special_tokens_are_numbered_as_they_are_written():
  written = [tokens.SPECIAL[i] for i in (tokens.PAD, tokens.BOS, tokens.EOS, tokens.UNK)]
  assert written == ['<pad>', '<s>', '</s>', '<unk>']
