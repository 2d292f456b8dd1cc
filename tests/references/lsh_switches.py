"""Writes lsh_switches.json: what reformer-pytorch makes of the two switches of LSH attention.

  pip install reformer-pytorch==1.4.4 torch==2.13.0
  python tests/references/lsh_switches.py

In float64. Its logits have one factor more, k ** -0.5, its keys no epsilon, and -5e4 stands where
-1e5 does here. Pairs that meet over the end of a round it does not count: by log(0 + 1e-9) they get
a weight of 1e9 where tokens see other buckets, too. So `count_once` alone is left out.
"""

import itertools
import json
import pathlib

import numpy as np
import torch
from reformer_pytorch.reformer_pytorch import LSHAttention

T, K, CHUNK = 16, 4, 4


def case(causal: bool, rounds: int, count_once: bool) -> dict:
  qk, v = torch.tensor(np.random.RandomState(rounds).randn(2, 1, T, K))
  layer = LSHAttention(
    bucket_size=CHUNK,
    n_hashes=rounds,
    causal=causal,
    attend_across_buckets=False,
    allow_duplicate_attention=not count_once,
  ).eval()
  torch.manual_seed(7)
  rotations = torch.randn(1, K, rounds, T // CHUNK // 2, dtype=torch.float64)
  torch.manual_seed(7)
  out = layer(qk, v)[0]
  words = dict(causal=causal, rounds=rounds, count_once=count_once)
  return words | dict(rotations=rotations.tolist(), out=out.tolist())


cases = [case(*words) for words in itertools.product((False, True), (2, 4), (False, True))]
pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps(cases) + '\n')
