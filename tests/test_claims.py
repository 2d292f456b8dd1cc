"""Claims of experiments/claims: some in seconds, and what each says of made-up results."""

import importlib
import itertools
import json
import re

import numpy as np
import pytest

from experiments.claims import (
  c2_parallel,
  c4_quadratic,
  convolution,
  drawing,
  frame,
  own,
  page,
  run,
  trainings,
)
from experiments.claims.chains import chain
from experiments.claims.frame import FAILS, HOLDS, PARTLY, Found, Place
from vitlab import registry

CLAIMS = {
  name: importlib.import_module(f'experiments.claims.{file}') for name, file in run.CLAIMS.items()
}
SEEDS = range(3)


def test_verdicts_count_predictions():
  yes, no = Found(True, ''), Found(False, '')
  assert [frame.verdict(x) for x in ([yes, yes], [yes, no], [no])] == [HOLDS, PARTLY, FAILS]


def test_an_interval_is_that_of_student():
  one = frame.interval([1.0, 2.0, 3.0])
  assert one.mean == 2 and one.half == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
  alone = frame.interval([5.0])
  assert alone.text() == '5.0' and not alone.low > 0  # of one run nothing is certain


def test_differences_are_those_of_equal_seeds():
  rows = [dict(kind=k, seed=s, x=10 * s + (k == 'a') * (1 + 0.1 * s)) for k in 'ab' for s in SEEDS]
  one = frame.paired(rows[::-1], 'x', dict(kind='a'), dict(kind='b'))
  assert one.mean == pytest.approx(1.1) and one.low > 0


def test_the_power_is_that_of_the_last_lengths():
  assert frame.exponent([1, 2, 4, 8, 16, 32], [9, 9, 9, 64, 256, 1024]) == pytest.approx(2)


def test_what_is_there_is_not_measured_again_and_a_torn_line_is(tmp_path):
  place, asked = Place('tiny', tmp_path), []

  def measure(n):
    asked.append(n)
    return dict(square=n * n)

  points = [dict(n=n) for n in range(3)]
  first = frame.measured(place, points, measure)
  path = tmp_path / frame.ROWS
  path.write_bytes(path.read_bytes()[:-4])  # killed in the middle of a line
  assert frame.measured(place, points, measure) == first and asked == [0, 1, 2, 2]
  assert len(frame.stored(path)) == 3


def test_chains_are_counted_on_no_clock():
  import jax
  import jax.numpy as jnp

  w = jnp.eye(3)

  def turn(x, _):
    return jnp.tanh(x @ w), None

  def serial(x):
    return jax.lax.scan(turn, x, None, 7)[0] @ w

  def parallel(x):
    return jax.jit(lambda x: x @ w)(x) + x @ w

  assert [chain(jax.make_jaxpr(f)(w)) for f in (serial, parallel)] == [8, 1]


def test_attention_is_a_convolution_only_where_its_heads_are_sharp():
  sharp, blunt = (convolution.measure(3, alpha, 0)['difference'] for alpha in (25, 2))
  assert sharp < 1e-9 and blunt > 1e-2


def test_a_block_without_residual_is_its_branches():
  import jax
  import jax.numpy as jnp

  own.add()
  words = dict(variant='mu/2', num_classes=3, depth=1, width=8, num_heads=2, mlp_dim=8)
  plain, usual = (
    registry.make('models', dict(name='plain_vit', residual=r, **words)) for r in (False, True)
  )
  image = jax.random.normal(jax.random.key(0), (1, 4, 4, 1))
  variables = usual.init(jax.random.key(1), image)
  (_, out), (_, other) = (jax.jit(model.apply)(variables, image) for model in (plain, usual))
  block, added = out['blocks'][0], other['blocks'][0]
  np.testing.assert_array_equal(block['tokens'], block['mlp_out'])
  np.testing.assert_array_equal(block['attention_out'], added['attention_out'])
  together = added['attention_out'] + added['mlp_out'] + other['embedded']
  np.testing.assert_allclose(added['tokens'], together, atol=1e-6)
  assert jnp.abs(block['tokens'] - added['tokens']).max() > 0.1


def test_some_digits_are_renumbered_and_larger():
  own.add()
  some = registry.make('data.sets', dict(name='some_digits', first=5, last=6, scale=2))
  whole = registry.make('data.sets', dict(name='digits'))
  of = whole.splits['test'].arrays
  chosen = np.isin(of['label'], (5, 6))
  found = some.splits['test'].arrays
  np.testing.assert_array_equal(found['label'], of['label'][chosen] - 5)
  np.testing.assert_array_equal(found['image'][:, ::2, 1::2], of['image'][chosen])
  assert some.facts['class_names'] == ['5', '6'] and some.facts['image']['image_size'] == (16, 16)


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


def costs(full, others):
  powers = {kind: full if kind == 'full' else others for kind in c4_quadratic.KINDS}
  return [
    dict(
      kind=k, length=n, seconds=[(1 + 7 * (k == 'hashing')) * (n / 256) ** p] * 3, megabytes=n**p
    )
    for k, p in powers.items()
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
  ('c4', costs(2, 1), [True, True, True]),
  ('c4', costs(1.5, 1.5), [False, False, False]),
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


def test_one_command_measures_draws_and_writes_the_page(tmp_path, capsys):
  command = ['--tiny', '--only=convolution,c4', f'--output={tmp_path}']
  assert run.main(command) == 0
  rows = (tmp_path / 'tiny/convolution/rows.jsonl').read_text()
  assert run.main(command) == 0 and (tmp_path / 'tiny/convolution/rows.jsonl').read_text() == rows
  text = (tmp_path / 'tiny/claims.html').read_text()
  assert 'convolution is self-attention' in text and '<svg' in text and frame.HOLDS in text
  assert not re.search(r'(src|href)="(?!#|data:)', text)  # nothing is asked of a network
  svg = (tmp_path / 'tiny/convolution/figure.svg').read_text()
  assert 'var(--c0)' in svg and drawing.COLOURS['c0'] not in svg
  assert not set(re.findall(r'#[0-9a-f]{6}\b', svg)) - {'#000000'}  # light or dark, by the page
  assert capsys.readouterr().out.count('A convolution is self-attention: holds') == 2


def test_trainings_are_a_sweep_that_goes_on_and_a_block_of_ours_is_in_them(tmp_path):
  place = Place('tiny', tmp_path)
  spec = f'{trainings.HERE}/pictures.py:model=plain_vit'
  changes = ['duration=2 steps', 'model.depth=1', 'batch_size=8', 'train_split=train[:16]']
  changes += ['evaluators.test.split=test[:16]', 'evaluators.seen.split=train[:16]']
  points = [{'model.residual': False, 'seed': 3}]
  (one,) = trainings.trained(place, 'vit', spec, points, changes)
  result = one.folder / 'result.json'
  before = result.stat().st_mtime_ns
  assert trainings.trained(place, 'vit', spec, points, changes) == [one]
  assert result.stat().st_mtime_ns == before and one.seed == 3
  trained = trainings.load(one.folder)
  accuracy = trained.metrics('test')['accuracy']
  assert accuracy == pytest.approx(one.metrics['test/accuracy'], abs=1e-6)
  out, _ = trained.first('intermediates', 'test')
  np.testing.assert_array_equal(out['blocks'][0]['tokens'], out['blocks'][0]['mlp_out'])


def test_claims_that_are_not_there_are_named_in_one_line(capsys):
  assert run.main(['--only=c99']) == 2
  assert run.main(['--data=nowhere']) == 2
  first, *others = capsys.readouterr().err.strip().splitlines()
  assert 'c99' in first and any('--full' in line for line in others)


def test_a_page_says_what_is_missing_and_what_did_not_come_true(tmp_path):
  found = [Found(True, 'a <b> c'), Found(False, '')]
  told = [page.Told('convolution', convolution, found, '<svg></svg>', 61.0)]
  page.write(tmp_path / 'page.html', told, [CLAIMS['c4']], 'small')
  text = (tmp_path / 'page.html').read_text()
  assert 'a &lt;b&gt; c' in text and 'holds in part' in text and 'not measured yet' in text
  assert json.dumps(found) and text.count('It did not') == 1
