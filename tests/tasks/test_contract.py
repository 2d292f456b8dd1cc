"""What every task promises to the loops, for every row of `_helpers.contract_rows`."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers.contract_rows import ROWS, Row

from vitlab.tasks import Task

SIZE = 8
# As many as in half a batch, which is compiled once for all that has this size.
MASK = np.array([True, True, True, False, True, False, False, False])


class Case(NamedTuple):
  """A task in use: player -> (variables, batch, key) -> (Loss, gradient), compiled."""

  row: Row
  task: Task
  variables: Any
  batch: dict[str, Any]
  steps: dict[str, Callable[..., Any]]


KEY = jax.random.key(1)


@functools.cache
def build(name: str) -> Case:
  """The case of a row, with a batch of which half is padding."""
  row = ROWS[name]
  task = row.task()
  batch = row.batch(np.random.default_rng(0), SIZE)
  batch = jax.tree.map(jnp.asarray, batch | {'mask': MASK})
  steps = {player: jax.jit(step(loss, player)) for player, loss in task.losses.items()}
  return Case(row, task, jax.jit(task.init)(jax.random.key(0), batch), batch, steps)


def step(loss, player):
  def run(variables, batch, key):
    def of(params):
      result = loss({**variables, player: {**variables[player], 'params': params}}, batch, key)
      return result.value, result._replace(outputs={})  # as the engine does

    gradient, result = jax.grad(of, has_aux=True)(variables[player]['params'])
    return result, gradient

  return run


@pytest.fixture(params=ROWS)
def case(request):
  return build(request.param)


@pytest.fixture(params=[name for name, row in ROWS.items() if row.independent and not row.random])
def independent_case(request):
  return build(request.param)


def close(a, b, **tolerance):
  jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), a, b)


def weighted(run, case, batch):
  result, gradient = run(case.variables, batch, KEY)
  return jax.tree.map(result.weight.__mul__, (result.value, gradient))


def test_players_own_their_variables(case):
  for player in case.task.losses:
    assert case.variables[player]['params']


def test_the_loss_is_a_float32_mean_of_its_metric(case):
  for run in case.steps.values():
    result, _ = run(case.variables, case.batch, KEY)
    assert result.value.shape == () and result.value.dtype == jnp.float32
    for total, count in result.metrics.values():
      assert total.shape == count.shape == ()
    total, count = result.metrics['loss']
    close(result.value, total / count, rtol=1e-6)


def test_what_mutates_keeps_its_structure(case):
  for run in case.steps.values():
    for player, collections in run(case.variables, case.batch, KEY)[0].mutated.items():
      assert set(collections) == set(case.variables[player]) - {'params'}
      for name, tree in collections.items():
        before = case.variables[player][name]
        assert jax.tree.map(jnp.shape, tree) == jax.tree.map(jnp.shape, before)


def test_padding_changes_nothing(case):
  kept = case.batch['mask']
  noise = case.row.batch(np.random.default_rng(1), SIZE)
  other = {
    name: jnp.where(kept.reshape(-1, *[1] * (x.ndim - 1)), case.batch[name], x)
    for name, x in noise.items()
  }
  assert all(jnp.any(x != case.batch[name]) for name, x in other.items())
  for run in case.steps.values():
    before = run(case.variables, case.batch, KEY)
    close(run(case.variables, {**other, 'mask': kept}, KEY), before, rtol=0)


def test_padding_has_no_weight(independent_case):
  case = independent_case
  short = {name: x[case.batch['mask']] for name, x in case.batch.items()}
  for run in case.steps.values():
    padded = run(case.variables, case.batch, KEY)
    close(run(case.variables, short, KEY), padded, rtol=1e-5, atol=1e-6)


def test_a_batch_of_padding_is_worth_nothing(case):
  batch = {**case.batch, 'mask': jnp.zeros(SIZE, bool)}
  for run in case.steps.values():
    result, gradient = run(case.variables, batch, KEY)
    assert float(result.weight) == 0 and float(result.value) == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


def test_weights_average_microbatches_to_the_whole(independent_case):
  """Of unequal counts: most of the padding lies in the second half."""
  case = independent_case
  half = SIZE // 2
  parts = [{name: x[i : i + half] for name, x in case.batch.items()} for i in (0, half)]
  for run in case.steps.values():
    first, second = (weighted(run, case, part) for part in parts)
    whole = weighted(run, case, case.batch)
    close(jax.tree.map(jnp.add, first, second), whole, rtol=1e-5, atol=1e-6)


def test_every_parameter_gets_a_gradient(case):
  for player, run in case.steps.items():
    _, gradient = run(case.variables, case.batch, KEY)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
      assert np.any(leaf), f'{player}{jax.tree_util.keystr(path)} gets no gradient'


def test_nothing_but_the_key_is_random(case):
  for run in case.steps.values():
    first, again = (run(case.variables, case.batch, KEY)[0] for _ in range(2))
    other, _ = run(case.variables, case.batch, jax.random.key(2))
    assert first.value == again.value
    assert (first.value != other.value) == case.row.random


def test_the_compiled_loss_equals_the_eager_one(case):
  for player, loss in case.task.losses.items():
    compiled, _ = case.steps[player](case.variables, case.batch, KEY)
    eager = loss(case.variables, case.batch, KEY)._replace(outputs={})
    close(compiled, eager, rtol=1e-5, atol=1e-6)


def test_predictions_are_rows_of_the_batch_and_independent_of_one_another(case):
  predictions = [case.task.predict[name] for name in case.row.predict]
  predict = jax.jit(lambda *args: [prediction(*args) for prediction in predictions])
  whole = predict(case.variables, case.batch)
  assert {leaf.shape[0] for leaf in jax.tree.leaves(whole)} == {SIZE}
  close(predict(case.variables, case.batch), whole, rtol=0)
  few, rows = (jax.tree.map(lambda x: x[2:5], tree) for tree in (case.batch, whole))
  close(predict(case.variables, few), rows, rtol=1e-5, atol=1e-6)
