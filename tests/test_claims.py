"""Claims of experiments/claims: some in seconds, and what each says of made-up results."""

import json
import re

import numpy as np
import pytest

from experiments.claims import (
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

SEEDS = range(3)


def test_verdicts_count_predictions():
  yes, no = Found(True, ''), Found(False, '')
  assert [frame.verdict(x) for x in ([yes, yes], [yes, no], [no])] == [HOLDS, PARTLY, FAILS]


def test_an_interval_is_that_of_student():
  one = frame.interval([1.0, 2.0, 3.0])
  assert one.mean == 2 and one.half == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
  assert one.text('+.1f', ' %') == '+2.0 ± 2.5 %'
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
  (tmp_path / 'tiny/c4/outcome.json').write_text('[[true, "of one prediction, long ago"]]')
  assert run.main([*command[:1], '--only=convolution', command[2]]) == 0
  text = (tmp_path / 'tiny/claims.html').read_text()
  assert 'long ago' not in text and c4_quadratic.TITLE in text


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
  page.write(tmp_path / 'page.html', told, [c4_quadratic], 'small')
  text = (tmp_path / 'page.html').read_text()
  assert 'a &lt;b&gt; c' in text and 'holds in part' in text and 'not measured yet' in text
  assert json.dumps(found) and text.count('It did not') == 1
