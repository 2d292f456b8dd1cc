"""Prints the box and the class of pictures."""

import json

import jax
import numpy as np

from vitlab.data import pictures
from vitlab.predict.inputs import find_images


def run(trained, inputs, options):
  detect = jax.jit(trained.task.predict['detected'])
  lines = []
  for path in find_images(inputs):
    image = pictures.preprocess(path, **trained.facts['image'])
    found = jax.device_get(detect(trained.variables, dict(image=image[None])))
    name = trained.facts['class_names'][int(found['classes'][0])]
    lines.append(dict(file=path, name=name, box=np.round(found['boxes'][0], 3).tolist()))
    print(json.dumps(lines[-1]))
  if options.output:
    with open(options.output, 'w') as file:
      file.write('\n'.join(map(json.dumps, lines)) + '\n')
