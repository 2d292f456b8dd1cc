"""Published detectors find objects without a run: their files say the pixels, COCO the classes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import yolox
from PIL import Image
from safetensors.numpy import save_file

from vitlab.data import pictures
from vitlab.predict import Options, detection, trained
from vitlab.pretrained import About, coco_classes
from vitlab.pretrained.preprocessing import Preprocessing

SPEC = dict(name='yolo', num_classes=80)
PREPARED = Preprocessing((32, 64), 'fit', 1.0, 'bilinear', (0.0,), (1 / 255,), fill=(114,))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """YOLOX of a size of its own and random weights, and a picture."""
  folder = tmp_path_factory.mktemp('weights')
  tensors = yolox.reference.weights(yolox.shapes('csp'))
  tensors = {name: np.ascontiguousarray(x, np.float32) for name, x in tensors.items()}
  save_file(tensors, folder / 'model.safetensors')
  (folder / 'config.json').write_text('{"image_size": [64, 64]}')
  picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
  Image.fromarray(picture).save(folder / 'one.png')
  return folder


def test_answers_are_those_of_the_task_for_a_padded_picture(folder, tmp_path):
  model = trained.load(str(folder))
  assert model.kind == 'detection' and model.config.model.width == 8
  output = tmp_path / 'found.json'
  detection.run(model, [str(folder / 'one.png')], Options(str(output)))
  canvas, size = np.full((1, 64, 64, 3), 99, np.uint8), np.int32([[48, 64]])
  canvas[0, :48], _ = pictures.fit(str(folder / 'one.png'), (64, 64))
  batch = jax.tree.map(jnp.asarray, dict(image=canvas, size=size))
  found = jax.jit(model.task.predict['detections'])(model.variables, batch)
  found = {key: np.asarray(column)[0] for key, column in found.items()}
  rows = json.loads(output.read_text())
  assert len(rows) == (found['classes'] >= 0).sum() > 0
  for row, box, score in zip(rows, found['boxes'] * 120 / 64, found['scores']):
    np.testing.assert_allclose(row['bbox'], [*box[:2], *box[2:] - box[:2]], atol=1e-2)
    assert row['score'] == pytest.approx(score, abs=1e-5)


def test_classes_without_names_are_those_of_coco(caplog):
  spec, facts = detection.published('x', About(SPEC, PREPARED))
  assert facts['class_names'][0] == 'person' and facts['class_ids'][-1] == 90
  assert facts['image'] == dict(
    image_size=(32, 64), channels=3, interpolation='bilinear', resize='fit'
  )
  assert spec['fill'] == (114,) and spec['std'] == (1 / 255,)
  assert 'assumed those of COCO' in caplog.text


@pytest.mark.parametrize('count', [3, 80, 91])
def test_names_of_the_files_are_kept(count, caplog):
  names = tuple(f'cell {i}' for i in range(count))
  _, facts = detection.published('x', About(SPEC | dict(num_classes=count), PREPARED, names))
  assert facts['class_names'] == list(names) and facts['class_ids'] == list(range(count))
  assert not caplog.text


def test_names_of_coco_keep_its_ids(caplog):
  """As Hugging Face's DETR has them: eleven of one name, which would be told apart by none."""
  names = ['N/A'] * 91
  for number, name in zip(coco_classes.IDS, coco_classes.NAMES):
    names[number] = name
  _, facts = detection.published('x', About(SPEC | dict(num_classes=91), PREPARED, tuple(names)))
  assert facts['class_ids'] == list(range(91)) and facts['class_names'][90] == 'toothbrush'
  assert len(set(facts['class_names'])) == 91 and not caplog.text


def test_other_classes_have_numbers():
  _, facts = detection.published('x', About(SPEC | dict(num_classes=2), PREPARED))
  assert facts['class_ids'] == [0, 1] and len(set(facts['class_names'])) == 2
