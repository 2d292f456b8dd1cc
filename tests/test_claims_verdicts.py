"""What each claim of experiments/claims says of made-up results: its verdict can be any."""

import importlib
import itertools

import numpy as np
import pytest

from experiments.claims import c2_parallel, c4_quadratic, run

CLAIMS = {
  name: importlib.import_module(f'experiments.claims.{file}') for name, file in run.CLAIMS.items()
}
SEEDS = range(3)


def noisy(value, seed):
  return value + 0.1 * (seed - 1)


def long_rows(late):
  means = dict(
    rnn=lambda n: 100 - 100 * late * n / 20, attention=lambda n: 99, transformer=lambda n: 98
  )
  return [
    dict(model=m, seed=s, length=n, right=f(n))
    for m, f in means.items()
    for s in SEEDS
    for n in range(4, 21)
  ]


def sizes(small, large):
  """Accuracies by training-set size: how far the ResNet is ahead."""
  leads = {50: small, 500: (small + large) / 2, 1437: large}
  return [
    dict(model=m, size=n, seed=s, accuracy=noisy(80 + lead * (m == 'resnet'), s * (m == 'resnet')))
    for m in ('resnet', 'vit', 'swin', 'tnt')
    for n, lead in leads.items()
    for s in SEEDS
  ]


def costs(formula, others):
  powers = dict.fromkeys(c4_quadratic.KINDS, (others, others))
  powers |= dict(formula=(formula, formula), full=(formula, others))
  return [
    dict(
      kind=k, length=n, seconds=[(1 + 7 * (k == 'hashing')) * (n / 256) ** t] * 3, megabytes=n**m
    )
    for k, (t, m) in powers.items()
    for n in (256, 512, 1024, 2048, 4096, 8192)
  ]


def parallel(transformer, ratio):
  chains = dict(Transformer=lambda w, n: n**transformer if w == 'learn' else n, RNN=lambda w, n: n)
  times = dict(Transformer=ratio, RNN=0.5)
  return [
    dict(model=m, work=w, length=n, chain=c(w, n), seconds=[times[m] if w == 'say' else 1.0] * 3)
    for m, c in chains.items()
    for w in c2_parallel.WORK
    for n in (64, 128, 256)
  ]


def norms(batch, layer, moved):
  lost = dict(batchnorm=batch, layernorm=layer)
  rows = [
    dict(norm=n, batch=b, seed=s, accuracy=noisy(95 - x * (b == 1), s * (b == 1)))
    for n, x in lost.items()
    for b in (1, 256)
    for s in SEEDS
  ]
  by = dict(batchnorm=moved, layernorm=0.0)
  return rows + [dict(norm=n, length=80, seed=s, moved=x) for n, x in by.items() for s in SEEDS]


def heads(after, worth):
  return [
    dict(
      seed=s,
      overlap=[noisy(after, s / 100)] * 2,
      overlap_before=[0.9] * 2,
      loss=1.0,
      cut=[worth] * 2,
    )
    for s in SEEDS
  ]


def depths(plain, ratio):
  reached = {True: {2: 97, 48: 96}, False: {2: 96, 48: plain}}
  rows = [
    dict(depth=d, residual=r, seed=s, accuracy=noisy(x, s))
    for r, by in reached.items()
    for d, x in by.items()
    for s in SEEDS
  ]
  first = {True: 1.0, False: ratio}
  return rows + [
    dict(layers=48, residual=r, seed=s, norms=[x, 1.0]) for r, x in first.items() for s in SEEDS
  ]


def cures(seen, gain):
  base = dict(none=70, augmentation=70 + gain, distillation=70 + gain, teacher=80)
  base |= {'pre-training': 70 + gain, 'all': 70 + 2 * gain}
  return [
    dict(help=h, seed=s, seen=seen, test=noisy(x, s * (h != 'none')))
    for h, x in base.items()
    for s in SEEDS
  ]


def suppressions(detr, others):
  def found(own, none, best):
    by = {'its own': own, 'none': none} | {
      str(o): best for o in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    }
    return {key: dict(ap=x, ap50=x) for key, x in by.items()}

  rows = dict(detr=found(0.6, 0.6, 0.6 + detr), faster_rcnn=found(0.7, 0.7 - others, 0.7))
  rows['yolo'] = rows['faster_rcnn']
  return [dict(detector=d, seed=s, found=x) for d, x in rows.items() for s in SEEDS]


def distances(head, vit, cnn):
  rows = [
    dict(model='vit', seed=s, fields=[vit, 0.9], heads=[[0.1, head], [0.2, 0.2]]) for s in SEEDS
  ]
  return rows + [dict(model='cnn', seed=s, fields=cnn, heads=[]) for s in SEEDS]


def differences(last):
  return [
    dict(kernel=k, alpha=a, seed=s, difference=np.exp(-a) if a < 25 else last)
    for k in (1, 3, 5)
    for a in (4, 8, 12, 16, 25)
    for s in SEEDS
  ]


MADE_UP = [
  ('c1', long_rows(0.9), [True, True]),
  ('c1', long_rows(0.2), [False, True]),
  ('c2', parallel(0, 9), [True, True, True]),
  ('c2', parallel(1, 2), [False, True, False]),
  ('c3', sizes(10, -3), [True, True, True]),
  ('c3', sizes(10, 3), [True, False, True]),
  ('c3', sizes(-3, 10), [False, False, False]),
  ('c4', costs(2, 1), [True, True, True, True]),
  ('c4', costs(2, 2), [True, False, False, False]),
  ('c4', costs(1.5, 1.5), [False, False, False, False]),
  ('c5', norms(20, 0.5, 0.5), [True, True, True, True]),
  ('c5', norms(1, 9, 0.01), [False, False, True, False]),
  ('c6', heads(0.3, [2.0, 1.005, 1.002, 1.001]), [True, True, True]),
  ('c6', heads(0.95, [1.3, 1.2, 1.2, 1.2]), [False, False, False]),
  ('c7', depths(10, 1e-5), [True, True, True, True]),
  ('c7', depths(95, 0.5), [True, False, True, False]),
  ('c8', cures(100, 8), [True, True, True, True, True]),
  ('c8', cures(75, -4), [False, False, False, False, False]),
  ('c9', suppressions(0.005, 0.4), [True, True, True]),
  ('c9', suppressions(0.1, 0.1), [False, False, False]),
  ('c10', distances(0.9, 0.7, [0.1, 0.2, 0.4, 0.45, 0.6, 0.7]), [True, True, True]),
  ('c10', distances(0.3, 0.2, [0.4, 0.6, 0.7, 0.7, 0.7, 0.7]), [False, False, False]),
  ('convolution', differences(1e-10), [True, True]),
  ('convolution', differences(1e-5), [False, False]),
]


@pytest.mark.parametrize('name, rows, wanted', MADE_UP)
def test_the_verdict_is_computed_from_the_results(name, rows, wanted):
  found = CLAIMS[name].outcome(rows)
  assert [bool(one.holds) for one in found] == wanted, found
  assert len(found) == len(CLAIMS[name].PREDICTIONS)
  assert not [one.text for one in found if 'nan' in one.text or 'None' in one.text]


def test_every_claim_has_results_of_both_kinds_above():
  held = {(name, holds) for name, _, wanted in MADE_UP for holds in wanted}
  assert held == set(itertools.product(CLAIMS, (True, False)))
