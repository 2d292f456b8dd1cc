"""A detector without parameters, of which every answer is known, as `trained.load` gives one."""

import jax.numpy as jnp
from ml_collections import ConfigDict

from vitlab.predict.trained import Trained
from vitlab.tasks import Task

NAMES, IDS = ['wide', 'tall', 'corner'], [1, 7, 90]
MIDDLE, NEAR, CORNER = (0.25, 0.25, 0.75, 0.75), (0.25, 0.25, 0.75, 0.7), (0.0, 0.0, 0.1, 0.5)


def trained(workdir, image_size=(24, 32), channels=3, traces=None):
  """Answers the middle of a picture, surely; a corner, and, as a candidate, the middle again.

  Args:
    workdir: Of the run.
    image_size: (short, long).
    channels: 3 or 1.
    traces: A list to which each traced shape is added.
  """

  def answer(batch, shares, scores):
    if traces is not None:
      traces.append(batch['image'].shape)
    side = batch['size'].astype(jnp.float32)[:, None, ::-1]
    boxes = jnp.array([*shares, (0,) * 4]) * jnp.concatenate([side, side], axis=-1)
    tall = (side[..., 1] > side[..., 0]).astype(jnp.int32)
    known = {MIDDLE: tall, NEAR: tall, CORNER: jnp.full_like(tall, 2)}
    classes = jnp.concatenate(
      [*(known[share] for share in shares), jnp.full_like(tall, -1)], axis=1
    )
    return dict(
      boxes=boxes,
      classes=classes,
      scores=jnp.broadcast_to(jnp.array([*scores, 0.0]), classes.shape),
    )

  def detections(variables, batch):
    return answer(batch, (MIDDLE, CORNER), (0.9, 0.4))

  def candidates(variables, batch):
    return answer(batch, (MIDDLE, NEAR, CORNER), (0.9, 0.8, 0.4))

  image = dict(image_size=image_size, channels=channels, resize='fit')
  facts = dict(num_classes=3, class_names=NAMES, class_ids=IDS, max_objects=4, image=image)
  config = ConfigDict(
    dict(
      task=dict(name='detection'),
      evaluators=dict(test=dict(name='average_precision', split='test')),
    )
  )
  task = Task(None, {}, dict(detections=detections, candidates=candidates))
  return Trained(str(workdir), 3, config, facts, task, {'model': {}})
