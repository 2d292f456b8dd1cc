import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from _helpers.steps import BATCH, KEY, assert_equal, copied, run, start
from _helpers.tiny import ConvNet, Perceptron

from vitlab.errors import UserError
from vitlab.tasks import Loss, Task, classification
from vitlab.train import optim, step


def supervised(model, learning_rate=0.05, **options):
  task = classification.make(model, num_classes=3)
  return start(task, {'model': optax.adamw(learning_rate)}, **options)


def test_learns_in_one_compilation():
  state, train_step = supervised(Perceptron())
  state, metrics = run(state, train_step, 30)
  losses = [float(m['loss'][0] / m['loss'][1]) for m in metrics]
  assert losses[-1] < 0.5 * losses[0]
  assert int(state.step) == 30 and int(optax.tree.get(state.opt_state, 'count')) == 30
  assert train_step._cache_size() == 1


def test_metrics_are_sums_and_counts_without_padding():
  state, train_step = supervised(Perceptron())
  _, (metrics,) = run(state, train_step, 1)
  assert set(metrics) == {'loss', 'accuracy', 'grad_norm'}
  assert float(metrics['loss'][1]) == BATCH['mask'].sum()
  assert float(metrics['grad_norm'][1]) == 1


@pytest.mark.parametrize('microbatches', [2, 4, 8])
def test_microbatches_equal_the_big_batch(microbatches):
  one, metrics_one = run(*supervised(Perceptron(), 0.01), 5)
  many, metrics_many = run(*supervised(Perceptron(), 0.01, microbatches=microbatches), 5)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), many.variables, one.variables
  )
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), metrics_many, metrics_one)


def test_batches_of_padding_move_nothing():
  batch = {**BATCH, 'mask': jnp.zeros(16, bool)}
  task = classification.make(Perceptron(), num_classes=3)
  for microbatches in (1, 4):
    state, train_step = start(task, {'model': optax.sgd(1.0)}, microbatches=microbatches)
    before = copied(state.variables)
    after, _ = run(state, train_step, 1, batch)
    assert_equal(copied(after.variables), before)


def test_statistics_pass_from_microbatch_to_microbatch():
  state, train_step = supervised(ConvNet(), microbatches=2)
  variables = copied(state.variables)['model']
  # The task blanks padded images.
  image = jnp.where(BATCH['mask'][:, None, None, None], BATCH['image'] / 255, 0) * 2 - 1
  for rows in (image[0::2], image[1::2]):  # flax by hand, in the documented order
    _, mutated = ConvNet().apply(variables, rows, train=True, mutable=['batch_stats'])
    variables = {**variables, **mutated}
  state, _ = train_step(state, BATCH)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
    state.variables['model']['batch_stats'],
    variables['batch_stats'],
  )


def test_resumed_equals_undisturbed_bit_for_bit():
  options = dict(microbatches=2, ema_decay=0.9)
  model = Perceptron(dropout_rate=0.5)
  whole, _ = run(*supervised(model, **options), 10)
  half, train_step = supervised(model, **options)
  half, _ = run(half, train_step, 5)
  stored = copied(half)
  _, again = supervised(model, **options)  # a new process has a step of its own
  resumed, _ = run(jax.tree.map(jnp.array, stored), again, 5)
  assert_equal(resumed, whole)


def test_randomness_depends_on_seed_step_and_microbatch():
  seen = []

  def loss(variables, batch, key):
    value = jax.random.uniform(key)
    return Loss(0.0 * variables['model']['params']['w'], {'drawn': (value, jnp.ones(()))}, {})

  task = Task(lambda key, batch: {'model': {'params': {'w': jnp.ones(())}}}, {'model': loss}, {})
  for microbatches in (1, 2):
    state, train_step = start(task, {'model': optax.sgd(0.0)}, microbatches=microbatches)
    _, metrics = run(state, train_step, 2)
    seen += [float(m['drawn'][0]) for m in metrics]
  fold = jax.random.fold_in

  def expected(i, microbatch):
    return float(jax.random.uniform(fold(fold(fold(jax.random.key(1), i), 0), microbatch)))

  first, second = expected(0, 0), expected(1, 0)
  sums = [first, second, first + expected(0, 1), second + expected(1, 1)]
  np.testing.assert_allclose(seen, sums, rtol=1e-6)
  assert len(set(seen)) == 4


def test_average_is_warmed_up_and_evaluated():
  state, train_step = supervised(ConvNet(), ema_decay=0.3)
  average = copied(state.ema['model'])
  assert set(average) == {'params', 'batch_stats'}
  for i in range(6):
    state, _ = train_step(state, BATCH)
    decay = min(0.3, (1 + i) / (10 + i))
    now = copied(state.variables['model'])
    average = jax.tree.map(lambda a, p, d=decay: d * a + (1 - d) * p, average, now)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), state.ema['model'], average
  )
  evaluated = state.averaged()['model']
  assert all(evaluated[name] is state.ema['model'][name] for name in average)


def test_only_parameters_and_running_statistics_are_averaged():
  one = jnp.ones(())
  start_of = dict(params=dict(w=one), batch_stats=dict(mean=one), memory=dict(m=one))

  def loss(variables, batch, key):
    changed = jax.tree.map(jnp.add, variables['model'], start_of)
    del changed['params']
    return Loss(variables['model']['params']['w'], {}, {'model': changed})

  task = Task(lambda *_: dict(model=start_of, teacher=start_of), {'model': loss}, {})
  state, train_step = start(task, {'model': optax.sgd(1.0)}, ema_decay=0.01)
  assert set(state.ema) == {'model'}
  state, _ = run(state, train_step, 1)
  evaluated = jax.tree.map(lambda x: round(float(x), 6), state.averaged())
  assert evaluated['teacher'] == dict(params=dict(w=1), batch_stats=dict(mean=1), memory=dict(m=1))
  assert evaluated['model'] == dict(
    params=dict(w=0.01), batch_stats=dict(mean=1.99), memory=dict(m=2)
  )


def test_without_average_the_parameters_are_evaluated():
  state, _ = supervised(ConvNet())
  assert state.ema == {}
  assert_equal(state.averaged(), state.variables)


def test_state_owns_its_arrays():
  """Neither an average that starts as the parameters nor the caller's arrays are donated."""
  weights = jnp.ones(3)

  def loss(variables, batch, key):
    return Loss(jnp.sum(variables['model']['params']['w'] ** 2), {}, {})

  task = Task(lambda key, batch: {'model': {'params': {'w': weights}}}, {'model': loss}, {})
  # dog keeps the first parameters in its state.
  optimizers = {'model': optax.contrib.dog(1.0)}
  run(*start(task, optimizers, ema_decay=0.9), 2)
  np.testing.assert_array_equal(weights, 1)


def test_norm_of_the_gradient_counts_what_the_optimiser_moves():
  task = classification.make(Perceptron(), num_classes=3)
  params = step.init_state(task, {'model': optax.sgd(0.1)}, KEY, BATCH).variables['model']['params']
  spec = dict(name='sgd', learning_rate=0.1, schedule='constant', freeze='^hidden/')
  tx, _ = optim.make(spec, params=params, total_steps=9, batch_size=16, num_examples=16)
  before = copied(params)
  state, (metrics,) = run(*start(task, {'model': tx}), 1)
  after = state.variables['model']['params']
  assert_equal(after['hidden'], before['hidden'])
  moved = jax.tree.map(lambda a, b: (b - a) / 0.1, after['head'], before['head'])
  np.testing.assert_allclose(metrics['grad_norm'][0], optax.tree.norm(moved), rtol=1e-4)


def test_what_no_task_may_do_is_refused():
  def loss(mutated, metrics):
    return lambda v, batch, key: Loss(jnp.sum(v['a']['params']['w']), metrics, mutated)

  def init(key, batch):
    return {p: {'params': {'w': jnp.ones(2)}} for p in 'ab'}

  optimizers = {'a': optax.sgd(0.1), 'b': optax.sgd(0.1)}
  new = Task(init, {'a': loss({'a': {'memory': {'m': jnp.ones(())}}}, {})}, {})
  with pytest.raises(ValueError, match='a mutates memory'):
    run(*start(new, optimizers), 1)


def test_bad_settings_are_refused():
  with pytest.raises(UserError, match='batch_size=16 is not a multiple of config.microbatches=3'):
    run(*supervised(Perceptron(), microbatches=3), 1)
  with pytest.raises(UserError, match='config.microbatches=0'):
    supervised(Perceptron(), microbatches=0)
  for decay in (1.0, -0.1, float('nan')):
    with pytest.raises(UserError, match='config.ema_decay'):
      supervised(Perceptron(), ema_decay=decay)


def test_works_without_arrays():
  task = classification.make(ConvNet(), num_classes=3)
  optimizers = {'model': optax.adamw(0.1)}
  abstract = jax.eval_shape(lambda: step.init_state(task, optimizers, KEY, BATCH, 0.9))
  train_step = step.make_train_step(task, optimizers, seed=0, microbatches=2, ema_decay=0.9)
  after, _ = jax.eval_shape(train_step, abstract, BATCH)
  assert after == abstract
