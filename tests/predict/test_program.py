"""A trained model as one file; what its kind of learning says stands beside it."""

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab.data.sets import digits
from vitlab.errors import UserError
from vitlab.predict import find, program, stablehlo, trained
from vitlab.train.run import train


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('runs') / 'digits')
  train(runs.config(checkpoint__best='test/accuracy'), folder, devices=jax.devices()[:1])
  return trained.load(folder)


def test_an_exported_model_labels_like_the_task(model, tmp_path):
  loaded = stablehlo.load(program.export(model, str(tmp_path / 'model.stablehlo')))
  images = digits.make().splits['test'].arrays['image'][:7]
  batch = {'image': jax.numpy.asarray(images)}
  probabilities = model.task.predict['probabilities'](model.variables, batch)
  np.testing.assert_allclose(loaded(images), probabilities, atol=1e-6)
  assert loaded.facts['class_names'] == [str(digit) for digit in range(10)]
  assert loaded.facts['image']['image_size'] == [8, 8]
  assert loaded.facts['step'] == model.step and loaded.facts['config']['seed'] == 0


def test_a_kind_without_a_program_says_so():
  with pytest.raises(UserError, match=r"'novel' has nothing for --mode=export.*exported\(...\)"):
    find('novel', 'exported', '--mode=export')
