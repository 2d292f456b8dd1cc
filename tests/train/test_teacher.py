"""A player without a loss is kept, laid out and stored like the others, and never moves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from _helpers import runs, tiny

from vitlab.errors import UserError
from vitlab.hosts import preemption
from vitlab.inspection import chips, compiled
from vitlab.predict import trained
from vitlab.tasks import classification, distillation
from vitlab.train import setup, step
from vitlab.train.run import train

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
BATCH = {
  'image': jnp.array(RNG.integers(0, 256, (16, 4, 4, 1), dtype=np.uint8)),
  'label': jnp.array(RNG.integers(0, 3, 16), jnp.int32),
  # Unevenly over the microbatches i::4, one of which is nothing but padding.
  'mask': jnp.array([1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0], bool),
}
TEACHER = dict(name='vit', variant='mu/4', num_classes=None, pool='gap', scan=True)
ONE = jax.devices()[:1]


def config(**overrides):
  """The student has a distillation token, so that the teacher has somewhere to go."""
  config = runs.config(model__distillation_token=True, **overrides)
  config.task = dict(name='distillation', task=config.task, teacher=TEACHER)
  return config


def assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def start(microbatches=1):
  """A student and its teacher, who has statistics: the state and the step."""
  student = classification.make(tiny.Distilled(), 3)
  task = distillation.make(student, tiny.ConvNet())
  optimizers = {'model': optax.adamw(0.01)}
  state = step.init_state(task, optimizers, KEY, BATCH, ema_decay=0.9)
  options = dict(seed=1, microbatches=microbatches, ema_decay=0.9)
  return state, jax.jit(step.make_train_step(task, optimizers, **options), donate_argnums=0)


@pytest.mark.parametrize('microbatches', [1, 4])
def test_steps_move_the_student_and_no_bit_of_the_teacher(microbatches):
  state, train_step = start(microbatches)
  before = jax.tree.map(np.array, state.variables)
  assert set(state.opt_state) == set(state.ema) == {'model'}
  for _ in range(5):
    state, metrics = train_step(state, BATCH)
  assert_equal(state.variables['teacher'], before['teacher'])
  assert_equal(state.averaged()['teacher'], before['teacher'])
  moved = jax.tree.map(lambda a, b: np.any(a != b), state.variables['model'], before['model'])
  assert all(jax.tree.leaves(moved))
  assert float(metrics['distillation_loss'][1]) == BATCH['mask'].sum()


def test_microbatches_equal_the_big_batch():
  ends = []
  for microbatches in (1, 2, 4):
    state, train_step = start(microbatches)
    for _ in range(5):
      state, metrics = train_step(state, BATCH)
    ends.append((state.variables, metrics))
  close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
  for end in ends[1:]:
    jax.tree.map(close, end, ends[0])


@pytest.fixture(scope='module')
def built():
  return setup.build(config(), ONE)


def test_only_who_learns_has_an_optimiser_and_is_counted(built):
  assert set(built.abstract_state.variables) == {'model', 'teacher'}
  assert set(built.optimizers) == set(built.schedules) == {'model'}
  assert set(built.num_parameters) == {'model'}


def test_an_inspection_tells_the_teacher_apart(built):
  found = compiled.inspect(built, chips.CHIPS['h100'], 'one')
  teacher = jax.tree.leaves(built.abstract_state.variables['teacher'])
  assert found.state_bytes['frozen'] == 4 * sum(leaf.size for leaf in teacher)
  assert found.state_bytes['params'] == 4 * found.num_parameters
  assert found.num_parameters == built.num_parameters['model']
  names = [parameter.name for parameter in found.parameters]
  assert 'teacher/encoder/blocks/norm1/scale' in names and 'model/dist_token' in names


def test_the_teacher_is_spread_over_the_mesh():
  many = setup.build(config(mesh=dict(data=2, fsdp=2, model=2)))
  blocks = many.abstract_state.variables['teacher']['params']['encoder']['blocks']
  spec = blocks['attention']['qkv']['kernel'].sharding.spec
  assert tuple(spec) == (None, 'fsdp', None, 'model', None)


def test_the_teacher_is_stored_and_a_resumed_run_is_the_undisturbed_one(tmp_path, monkeypatch):
  short = config(duration='4 steps', log_every='2 steps', checkpoint__every='2 steps')
  with pytest.raises(UserError, match=r'teacher does not learn.*\n.*init_from=dict\(teacher='):
    train(short, str(tmp_path / 'undisturbed'), devices=ONE)
  assert not any(tmp_path.iterdir())
  school = runs.config(duration='2 steps')
  school.model = TEACHER
  train(school, str(tmp_path / 'teacher'), devices=ONE)
  short.init_from = dict(teacher=str(tmp_path / 'teacher'))
  train(short, str(tmp_path / 'undisturbed'), devices=ONE)
  with monkeypatch.context() as patch:
    patch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 2)
    with pytest.raises(preemption.Preempted):
      train(short, str(tmp_path / 'stopped'), devices=ONE)
  train(short, str(tmp_path / 'stopped'), devices=ONE)
  assert runs.rows(tmp_path / 'stopped') == runs.rows(tmp_path / 'undisturbed')
  assert runs.result(tmp_path / 'stopped') == runs.result(tmp_path / 'undisturbed')
  after = trained.load(str(tmp_path / 'stopped'))
  teacher = trained.load(str(tmp_path / 'teacher'))
  assert_equal(after.variables['teacher'], teacher.variables['model'])
  image = jnp.zeros((2, 8, 8, 1), jnp.uint8)
  assert after.task.predict['probabilities'](after.variables, {'image': image}).shape == (2, 10)
