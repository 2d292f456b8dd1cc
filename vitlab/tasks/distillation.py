"""Distillation: a student learns from labels and from a frozen teacher (DeiT, arXiv:2012.12877).

A wrapper `Task -> Task`: what the wrapped task trains is the student, any model is the teacher.

  task = dict(
    name='distillation',
    task=dict(name='classification', ...),
    teacher=dict(name='resnet', variant='50', ...),
    kind='hard',
  )

The teacher sees the student's images, augmented and mixed, under its own normalisation, and answers
as in evaluation. The student answers with `out['distillation_logits']`, if its model has a head for
that (`distillation_token` of the ViT), else with its logits.

The teacher is the player 'teacher', without a loss: the engine keeps it in every checkpoint, never
moves it and gives it neither optimiser state nor average. Its weights come from `config.init_from`.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vitlab.errors import UserError, unknown
from vitlab.ops import losses
from vitlab.ops.color import normalize
from vitlab.tasks import Batch, Key, Loss, Task, Variables

TEACHER = 'teacher'
Logits = Float[Array, 'b classes']


def make(
  task: Task,
  teacher: nn.Module,
  kind: str = 'hard',
  weight: float = 0.5,
  temperature: float = 3.0,
  teacher_mean: Sequence[float] = (0.5,),
  teacher_std: Sequence[float] = (0.5,),
) -> Task:
  """Wraps a task of one player: `(1 - weight) · its loss + weight · distillation loss`.

  Args:
    task: Its losses give the `outputs` image, target, mask, logits and out (classification does).
    teacher: Called as module(image, train) -> (logits, out), with the classes of the student.
    kind: 'hard', cross-entropy with the teacher's argmax (equation 3), or 'soft', τ² KL of the
      softmax at temperature τ (equation 2).
    weight: λ: the paper has 0.5 for hard, 0.1 for soft distillation. The KL is the paper's, a sum
      over classes and a mean over examples. DeiT's code divides it by the number of classes too:
      its alpha is our weight alpha / (alpha + (1 - alpha) · classes), up to a common factor of both
      losses, which Adam ignores.
    temperature: τ of soft distillation; 3 in the paper.
    teacher_mean: Of the pixels in [0, 1], as the teacher was trained; as `mean` of classification.
    teacher_std: Divided by.

  Raises:
    UserError: an unknown kind, a weight or temperature out of range, a task of several players;
      when the first batch comes, a task that gives nothing to distil, other classes.
  """
  kinds = {'hard': _hard, 'soft': functools.partial(losses.kl_divergence, temperature=temperature)}
  if kind not in kinds:
    raise unknown('kind of distillation', kind, kinds)
  player, loss = _student(task, weight, temperature)

  def init(key: Key, batch: Batch) -> Variables:
    variables = task.init(key, batch)
    if TEACHER in variables:
      raise UserError('distillation of a distillation: a student has one teacher')
    image = jnp.zeros(batch['image'].shape, jnp.float32)
    taught = teacher.init({'params': jax.random.fold_in(key, 1)}, image, train=False)
    return {**variables, TEACHER: taught}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    result = loss(variables, batch, key)
    if 'logits' not in result.outputs:
      raise UserError(f'distillation: the loss of {player} gives no outputs to learn from')
    image = normalize(result.outputs['image'], teacher_mean, teacher_std)
    answer, _ = teacher.apply(variables[TEACHER], image, train=False)
    return _add(result, jax.lax.stop_gradient(answer), kinds[kind], weight)

  return Task(init, {player: training_loss}, task.predict)


def _student(task: Task, weight: float, temperature: float) -> tuple[str, Callable[..., Loss]]:
  """The only player and its loss, if all is as `make` wants it."""
  if not 0 <= weight <= 1 or temperature <= 0:
    raise UserError(
      f'distillation with weight={weight}, temperature={temperature}: '
      'the weight lies in [0, 1], the temperature above 0'
    )
  if len(task.losses) != 1:
    raise UserError(f'distillation teaches one player, not {", ".join(task.losses)}')
  return next(iter(task.losses.items()))


def _hard(student: Logits, teacher: Logits, *, mask: Bool[Array, ' b']) -> Float[Array, ' b']:
  """Cross-entropy of each example with what the teacher takes for the most probable class."""
  target = jax.nn.one_hot(jnp.argmax(teacher, axis=-1), teacher.shape[-1])
  return losses.softmax_cross_entropy(student, target, mask=mask)


def _add(result: Loss, teacher: Logits, distance: Callable, weight: float) -> Loss:
  """The wrapped task's loss, and what the teacher has to say about it."""
  outputs = result.outputs
  mask, student = outputs['mask'], outputs['out'].get('distillation_logits', outputs['logits'])
  if teacher.shape != student.shape:
    raise UserError(
      f'the teacher gives {teacher.shape[-1]} logits, the student {student.shape[-1]}: '
      'give both the same num_classes'
    )
  values = distance(student, teacher, mask=mask)
  value, count = losses.masked_mean(values, mask)
  answer, target = jnp.argmax(teacher, axis=-1), jnp.argmax(outputs['target'], axis=-1)

  def share(right: Bool[Array, ' b']) -> tuple[Array, Array]:
    return jnp.sum(right & mask, dtype=jnp.float32), count

  total, weights = result.metrics['loss']
  metrics = {
    **result.metrics,
    'loss': ((1 - weight) * total + weight * jnp.sum(values), weights),
    'label_loss': (total, weights),
    'distillation_loss': (jnp.sum(values), count),
    'distillation_accuracy': share(jnp.argmax(student, axis=-1) == answer),
    'teacher_accuracy': share(answer == target),
  }
  return result._replace(value=(1 - weight) * result.value + weight * value, metrics=metrics)
