"""Shakespeare's 154 sonnets (1609, in the public domain): text without a download.

94,653 characters, 61 of them different, in `sonnets.txt` beside this file; the last tenth is 'val'.
"""

import pathlib

from vitlab.data import Dataset
from vitlab.data.sets import text

PATH = pathlib.Path(__file__).with_suffix('.txt')


def make(
  tokenizer: str = 'chars', vocab_size: int = 500, context: int = 128, stride: int = 0
) -> Dataset:
  """Splits 'train' and 'val'; see `vitlab.data.sets.text`.

  Args:
    tokenizer: Kind of vocabulary, 'chars' for one of characters.
    vocab_size: Number of tokens of a vocabulary that is learned: at most.
    context: Tokens that a model reads at once.
    stride: How far the window of an evaluation goes on; 0: half of the context.
  """
  words = dict(tokenizer=tokenizer, vocab_size=vocab_size, context=context, stride=stride)
  return text.make(str(PATH), **words)
