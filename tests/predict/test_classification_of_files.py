"""A workdir alone labels files and becomes a file; what cannot be read does not stop the rest."""

import json

import jax
import numpy as np
import pytest
from _helpers import runs
from PIL import Image

from vitlab.data.sets import digits
from vitlab.errors import UserError
from vitlab.predict import Options, classification, inputs, trained
from vitlab.train.run import train


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('runs') / 'digits')
  train(runs.config(checkpoint__best='test/accuracy'), folder, devices=jax.devices()[:1])
  return trained.load(folder)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """A folder of test images, one of them broken, and one in a folder of its own."""
  folder = tmp_path_factory.mktemp('pictures')
  (folder / 'deeper').mkdir()
  for number, image in enumerate(digits.make().splits['test'].arrays['image'][:5]):
    name = 'deeper/0.PNG' if number == 4 else f'{number}.png'
    Image.fromarray(image[..., 0]).save(folder / name)
  (folder / 'broken.jpg').write_bytes(b'no picture')
  (folder / 'notes.txt').write_text('no picture either')
  return folder


def probabilities(model, images):
  """What the task itself says."""
  batch = {'image': jax.numpy.asarray(images)}
  return np.asarray(model.task.predict['probabilities'](model.variables, batch))


def test_labels_are_those_of_the_task(model, pictures, monkeypatch):
  monkeypatch.setattr(classification, 'BATCH_SIZE', 2)  # several batches, the last one not full
  files = inputs.find_images([str(pictures)])
  labels = {one.given: one for one in classification.label(model, files)}
  images = digits.make().splits['test'].arrays['image'][:5]
  expected = probabilities(model, images)
  names = ['0.png', '1.png', '2.png', '3.png', 'deeper/0.PNG']
  for name, row in zip(names, expected):
    top = labels[str(pictures / name)].top
    assert [label for label, _ in top] == [str(i) for i in np.argsort(-row)[:5]]
    np.testing.assert_allclose([p for _, p in top], np.sort(row)[:-6:-1], rtol=1e-5)
  assert 'not an image' in labels[str(pictures / 'broken.jpg')].error


def test_run_prints_an_aligned_table_and_writes_json_lines(model, pictures, tmp_path, capsys):
  output = tmp_path / 'labels.jsonl'
  classification.run(model, [str(pictures)], Options(str(output)))
  printed, complaints = capsys.readouterr()
  lines = printed.splitlines()
  assert len(lines) == 1 + 5
  column = lines[0].index('class')
  assert all(line[column].isdigit() and line[column - 1] == ' ' for line in lines[1:])
  assert complaints.count('\n') == 1 and 'broken.jpg: not an image' in complaints
  rows = [json.loads(line) for line in output.read_text().splitlines()]
  assert [row['file'] for row in rows] == inputs.find_images([str(pictures)])
  assert 'error' in next(row for row in rows if row['file'].endswith('broken.jpg'))
  assert rows[0]['class'] == rows[0]['top'][0]['class'] and len(rows[0]['top']) == 5


def test_nothing_readable_is_an_error(model, pictures):
  with pytest.raises(UserError, match='none of 1 files could be read'):
    classification.run(model, [str(pictures / 'broken.jpg')])


def test_an_output_that_cannot_be_written_fails_before_the_work(model, pictures, tmp_path):
  with pytest.raises(UserError, match='--output'):
    classification.run(model, [str(pictures)], Options(str(tmp_path / 'no' / 'such' / 'folder')))
