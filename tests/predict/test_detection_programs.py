"""Every detector becomes a program for any number of pictures: nothing in it asks how many."""

import jax
import numpy as np
import pytest
from jax import export

from vitlab import registry
from vitlab.tasks import detection

RESNET = dict(name='resnet', variant='18', width=8)
MODELS = {
  'detr': dict(
    variant='tiny', width=16, mlp_dim=32, backbone=RESNET | dict(depths=(1, 1)), num_queries=6
  ),
  'faster_rcnn': dict(
    backbone=RESNET | dict(depths=(1, 1, 1)),
    channels=8,
    hidden=16,
    anchor_sizes=((12,), (18,), (26,), (36,)),
    anchor_ratios=(1.0,),
    candidates=(16, 16),
    proposals=(16, 16),
    samples=(16, 16),
    region_size=3,
  ),
  'yolo': dict(variant='mu'),
  'yolo_v3': dict(variant='mu'),
}


@pytest.mark.parametrize('name', MODELS)
def test_the_program_of_a_detector(name):
  task = detection.make(registry.make('models', dict(name=name, num_classes=2, **MODELS[name])))
  (rows,) = export.symbolic_shape('b')
  shapes = dict(image=((32, 32, 3), np.uint8), size=((2,), np.int32))
  of = lambda b: {k: jax.ShapeDtypeStruct((b, *s), t) for k, (s, t) in shapes.items()}  # noqa: E731
  variables = jax.eval_shape(task.init, jax.random.key(0), of(1))
  program = export.export(jax.jit(task.predict['detections']))(variables, of(rows))
  found = dict(zip(('boxes', 'classes', 'scores'), program.out_avals))
  assert all(str(column.shape[0]) == 'b' for column in found.values())
  assert found['boxes'].shape[1:] == (*found['scores'].shape[1:], 4)
