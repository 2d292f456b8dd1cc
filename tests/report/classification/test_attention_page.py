"""A page for images of one's own, from a workdir."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import runs, tiny
from _helpers.html_pages import Page
from PIL import Image

from vitlab.data.sets import digits
from vitlab.errors import UserError
from vitlab.predict import trained as trained_lib
from vitlab.report.classification import attention_page
from vitlab.tasks import classification
from vitlab.train.run import train


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('runs') / 'digits')
  config = runs.config(duration='2 steps', evaluators__test__every='2 steps')
  train(config, folder, devices=jax.devices()[:1])
  return trained_lib.load(folder)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three test images, and a broken one."""
  folder = tmp_path_factory.mktemp('pictures')
  for i, image in enumerate(digits.make().splits['test'].arrays['image'][:3]):
    Image.fromarray(image[..., 0]).save(folder / f'{i}.png')
  (folder / 'broken.jpg').write_bytes(b'no picture')
  return folder


def test_the_page_shows_the_images_and_the_labels_are_printed(model, folder, capsys):
  found = attention_page.write(model, [str(folder)])
  assert str(found) == f'{model.workdir}/attention.html'
  page = Page(found.read_text())
  assert {'evidence', 'attention', 'attention-distance'} <= set(page.ids)
  assert (
    all(name in page.text for name in ('0.png', '1.png', '2.png')) and 'broken' not in page.text
  )
  (explorer,) = page.figures['attention']
  assert [one['truth'] for one in explorer['images']] == [None] * 3
  printed, complaints = capsys.readouterr()
  assert len(printed.splitlines()) == 4 and str(folder / '0.png') in printed
  assert str(folder / 'broken.jpg') in complaints
  images = digits.make().splits['test'].arrays['image'][:3]
  batch = {'image': jnp.asarray(images)}
  expected = jax.jit(model.task.predict['logits'])(model.variables, batch).argmax(-1)
  assert [int(one['said']) for one in explorer['images']] == np.asarray(expected).tolist()


def test_of_many_images_the_first_are_looked_at(model, folder, tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(attention_page, 'MOST', 2)
  found = attention_page.write(
    model, [str(folder / f'{i}.png') for i in range(3)], str(tmp_path / 'a.html')
  )
  assert found == tmp_path / 'a.html'
  assert '2.png' not in found.read_text() and 'first 2 of 3 images' in caplog.text


@pytest.mark.parametrize(
  ('paths', 'output', 'says'),
  [
    (['broken.jpg'], '', 'none of 1 files could be read'),
    (['absent.png'], '', 'no file or folder'),
    (['0.png'], 'labels.jsonl', 'does not end in .html'),
  ],
)
def test_wrong_use_is_explained(model, folder, tmp_path, paths, output, says):
  output = str(tmp_path / output) if output else ''
  with pytest.raises(UserError, match=says):
    attention_page.write(model, [str(folder / path) for path in paths], output)
  assert not list(tmp_path.iterdir())


def test_a_model_without_attention_is_explained(model, folder, tmp_path):
  task = classification.make(tiny.Perceptron(10), num_classes=10)
  variables = task.init(jax.random.key(0), {'image': jnp.zeros((1, 8, 8, 1), jnp.uint8)})
  other = model._replace(task=task, variables=variables)
  with pytest.raises(UserError, match='no attention over the image: --mode=report'):
    attention_page.write(other, [str(folder / '0.png')], str(tmp_path / 'a.html'))
