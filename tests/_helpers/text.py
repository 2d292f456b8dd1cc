"""A small language and its translation: enough to learn a vocabulary from."""

import gzip
import pathlib

import numpy as np

WORDS = ('a', 'dog', 'cat', 'runs', 'sleeps', 'über', 'the', 'wall', 'and', 'jumps')


def sentences(count: int, seed: int = 0, longest: int = 12) -> tuple[list[str], list[str]]:
  """English and its translation: the words in reverse order and capitals."""
  rng = np.random.default_rng(seed)
  english = [
    ' '.join(rng.choice(WORDS, rng.integers(1, longest + 1))) + rng.choice(['.', '!', ''])
    for _ in range(count)
  ]
  return english, [' '.join(reversed(line.upper().split(' '))) for line in english]


def write(folder: pathlib.Path, compress: bool = False, **counts: int) -> str:
  """Files of a corpus by split, for example train=200, val=20; returns the folder."""
  folder.mkdir(parents=True, exist_ok=True)
  for seed, (split, count) in enumerate(counts.items()):
    for language, lines in zip(('en', 'xx'), sentences(count, seed)):
      content = ''.join(line + '\n' for line in lines).encode()
      if compress:
        (folder / f'{split}.{language}.gz').write_bytes(gzip.compress(content))
      else:
        (folder / f'{split}.{language}').write_bytes(content)
  return str(folder)


def spec(path: str, **words) -> dict:
  """Of a data set of these files, for a config."""
  return (
    dict(name='parallel', path=path, source='en', target='xx', vocab_size=310, lengths=(8, 24, 64))
    | words
  )
