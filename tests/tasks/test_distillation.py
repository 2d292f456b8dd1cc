"""Distillation against NumPy and DeiT's formula; the teacher looks, speaks and never moves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from _helpers import tiny
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_digits

from vitlab.errors import UserError
from vitlab.tasks import Loss, Task, classification, distillation
from vitlab.train import step

RNG = np.random.default_rng(0)
BATCH = dict(
  image=jnp.asarray(RNG.integers(0, 256, (8, 6, 6, 1), dtype=np.uint8)),
  label=jnp.asarray([0, 2, 1, 2, 0, 1, 1, 0], jnp.int32),
  mask=jnp.asarray([True, True, True, False, True, True, False, True]),
)
KEPT = np.flatnonzero(BATCH['mask'])
KEY = jax.random.key(0)
AUGMENT = 'random_crop(2)|mixup(0.8)'


def build(student=None, augment=AUGMENT, **options):
  plain = classification.make(student or tiny.Distilled(), 3, augment=augment)
  task = distillation.make(plain, tiny.ConvNet(), **options)
  return plain, task, task.init(KEY, BATCH)


def heard(plain, variables, mean=0.5, std=0.5):
  """What the wrapped task lets out, and what the teacher says to its images; rows that count."""
  result = plain.losses['model'](variables, BATCH, KEY)
  image = (result.outputs['image'] - mean) / std
  answer, _ = tiny.ConvNet().apply(variables['teacher'], image, train=False)
  student = result.outputs['out'].get('distillation_logits', result.outputs['logits'])
  return result, *(np.asarray(x, np.float64)[KEPT] for x in (student, answer))


@pytest.mark.parametrize('student', [tiny.Distilled(), tiny.Perceptron()])
@pytest.mark.parametrize('weight', [0.1, 0.5])
def test_hard_distillation_by_hand(student, weight):
  plain, task, variables = build(student, kind='hard', weight=weight)
  label, student, answer = heard(plain, variables)
  chosen = answer.argmax(-1)
  each = -log_softmax(student, axis=-1)[np.arange(len(chosen)), chosen]
  result = task.losses['model'](variables, BATCH, KEY)
  expected = (1 - weight) * label.value + weight * each.mean()
  np.testing.assert_allclose(result.value, expected, rtol=1e-5)
  np.testing.assert_allclose(result.metrics['distillation_loss'], (each.sum(), 6), rtol=1e-5)
  np.testing.assert_allclose(result.metrics['label_loss'], label.metrics['loss'], rtol=1e-6)
  same = (student.argmax(-1) == chosen).sum()
  np.testing.assert_array_equal(result.metrics['distillation_accuracy'], (same, 6))
  right = (np.asarray(label.outputs['target'])[KEPT].argmax(-1) == chosen).sum()
  np.testing.assert_array_equal(result.metrics['teacher_accuracy'], (right, 6))


@pytest.mark.parametrize('temperature', [1.0, 3.0])
def test_soft_distillation_by_hand_under_the_teacher_s_normalisation(temperature):
  options = dict(kind='soft', weight=0.1, temperature=temperature)
  plain, task, variables = build(**options, teacher_mean=(0.2,), teacher_std=(0.3,))
  label, student, answer = heard(plain, variables, 0.2, 0.3)
  p, q = softmax(answer / temperature, axis=-1), softmax(student / temperature, axis=-1)
  each = temperature**2 * (p * np.log(p / q)).sum(-1)
  result = task.losses['model'](variables, BATCH, KEY)
  np.testing.assert_allclose(result.value, 0.9 * label.value + 0.1 * each.mean(), rtol=1e-5)
  np.testing.assert_allclose(result.metrics['distillation_loss'], (each.sum(), 6), rtol=1e-4)


def test_the_code_of_deit_divides_by_the_classes_too():
  alpha, tau, classes = 0.7, 3.0, 3
  plain, _, variables = build(tiny.Distilled())
  label, student, answer = heard(plain, variables)
  s, t = (torch.log_softmax(torch.tensor(x) / tau, -1) for x in (student, answer))
  kl = torch.nn.functional.kl_div(s, t, reduction='sum', log_target=True) * tau**2 / s.numel()
  theirs = (1 - alpha) * float(label.value) + alpha * float(kl)
  scale = 1 - alpha + alpha / classes
  weight = alpha / (alpha + (1 - alpha) * classes)
  _, task, _ = build(tiny.Distilled(), kind='soft', weight=weight, temperature=tau)
  ours = task.losses['model'](variables, BATCH, KEY).value
  np.testing.assert_allclose(scale * ours, theirs, rtol=1e-5)


@pytest.mark.parametrize('kind', ['hard', 'soft'])
def test_no_gradient_reaches_the_teacher(kind):
  _, task, variables = build(kind=kind)
  statistics = {'batch_stats': variables['teacher'].pop('batch_stats')}

  def value(variables):
    teacher = {**variables['teacher'], **statistics}
    return task.losses['model']({**variables, 'teacher': teacher}, BATCH, KEY).value

  gradient = jax.grad(value)(variables)
  assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient['model']))
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient['teacher']))


def test_the_student_starts_and_predicts_as_without_a_teacher():
  plain, task, variables = build()
  alone = plain.init(KEY, BATCH)
  jax.tree.map(np.testing.assert_array_equal, variables['model'], alone['model'])
  expected = plain.predict['logits'](alone, BATCH)
  np.testing.assert_array_equal(task.predict['logits'](variables, BATCH), expected)


def sgd(task, variables, batch, steps, rate=0.5):
  """Trains by full batches; returns the variables."""
  optimizers = {'model': optax.sgd(rate, momentum=0.9)}
  state = step.init_state(task, optimizers, KEY, batch)._replace(variables=variables)
  train_step = jax.jit(step.make_train_step(task, optimizers, seed=0))
  for _ in range(steps):
    state, _ = train_step(state, batch)
  return state.variables


def test_a_student_learns_digits_from_its_teacher_alone():
  """Its labels are noise and weigh nothing: what it knows in the end, the teacher has told it."""
  digits = load_digits()
  image = jnp.asarray(digits.images[..., None] * 255 / 16, jnp.uint8)
  train = dict(image=image[:1200], label=jnp.asarray(digits.target[:1200], jnp.int32))
  test, target = dict(image=image[1200:]), digits.target[1200:]
  accuracy = lambda logits: (np.argmax(logits, axis=-1) == target).mean()  # noqa: E731
  student, teacher = tiny.Distilled(num_classes=10), tiny.Perceptron(num_classes=10)
  learn = classification.make(teacher, 10)
  variables = sgd(learn, learn.init(KEY, train), train, 100)
  assert accuracy(learn.predict['logits'](variables, test)) > 0.8
  noise = {**train, 'label': jax.random.permutation(KEY, train['label'])}
  for kind in ('hard', 'soft'):
    plain = classification.make(student, 10)
    task = distillation.make(plain, teacher, kind, weight=1.0)
    start = {**task.init(KEY, noise), 'teacher': variables['model']}
    rate = {'hard': 0.5, 'soft': 0.1}[kind]
    after = sgd(task, start, noise, 100, rate)
    assert accuracy(task.predict['logits'](after, test)) > 0.75
    jax.tree.map(np.testing.assert_array_equal, after['teacher'], variables['model'])


def game():
  return Task(lambda key, batch: {}, dict.fromkeys(('generator', 'discriminator')), {})


def silent():
  loss = lambda variables, batch, key: Loss(jnp.zeros(()), {}, {})  # noqa: E731
  return Task(lambda key, batch: {'model': {'params': {}}}, {'model': loss}, {})


@pytest.mark.parametrize(
  'task, options, message',
  [
    (None, dict(kind='medium'), "unknown kind of distillation 'medium'.*hard, soft"),
    (None, dict(weight=1.5), r'weight=1.5.*the weight lies in \[0, 1\]'),
    (None, dict(temperature=0.0), 'temperature=0.0.*above 0'),
    (None, dict(teacher_mean=(0.1, 0.2)), 'mean has 2 values, but images have 1 channels'),
    (None, dict(teacher=tiny.ConvNet(num_classes=5)), 'teacher gives 5 logits, the student 3'),
    (game, {}, 'teaches one player, not generator, discriminator'),
    (silent, {}, 'the loss of model gives no outputs'),
  ],
)
def test_what_cannot_be_distilled_is_explained(task, options, message):
  plain = functools.partial(classification.make, tiny.Perceptron(), 3)
  with pytest.raises(UserError, match=message):
    made = distillation.make((task or plain)(), **{'teacher': tiny.ConvNet(), **options})
    made.losses['model'](made.init(KEY, BATCH), BATCH, KEY)


def test_a_student_has_one_teacher():
  _, task, _ = build()
  with pytest.raises(UserError, match='a student has one teacher'):
    distillation.make(task, tiny.ConvNet()).init(KEY, BATCH)
