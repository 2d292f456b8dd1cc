"""A page for pictures of one's own, from a detector with queries."""

import numpy as np
import pytest
from _helpers import detected
from _helpers.html_pages import Page
from PIL import Image

from vitlab.errors import UserError
from vitlab.predict import Options
from vitlab.report.detection import attention, attention_page


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  return detected.trained()._replace(workdir=str(tmp_path_factory.mktemp('run')))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A wide and a tall picture, and a broken one."""
  folder = tmp_path_factory.mktemp('pictures')
  for name, size in (('tall', (60, 90)), ('wide', (90, 60))):
    Image.fromarray(np.zeros(size[::-1], np.uint8)).save(folder / f'{name}.png')
  (folder / 'broken.jpg').write_bytes(b'no picture')
  return folder


def test_the_page_shows_what_queries_look_at_in_the_pictures(model, folder, capsys):
  attention(model, [str(folder)], Options())
  printed, complaints = capsys.readouterr()
  assert printed.strip() == f'{model.workdir}/attention.html' and 'broken.jpg' in complaints
  with open(printed.strip(), encoding='utf-8') as file:
    page = Page(file.read())
  (found,) = page.figures['queries']
  assert [one['name'] for one in found['pictures']] == ['tall.png', 'wide.png']
  assert [(one['height'], one['width']) for one in found['pictures']] == [(48, 32), (32, 48)]
  # without an evaluation, a score of 0.5 counts: one of two is suppressed, in each
  assert 'would remove 2 of 4 candidates with a score of 0.50' in page.text


def test_the_threshold_and_the_output_can_be_chosen(model, folder, tmp_path):
  output = str(tmp_path / 'page.html')
  found = attention_page.write(model, [str(folder / 'tall.png')], output, threshold=0.2)
  assert str(found) == output
  assert 'would remove 1 of 3 candidates with a score of 0.20' in Page(found.read_text()).text


def test_files_of_one_name_are_told_apart_and_the_first_are_looked_at(
  model, folder, tmp_path, monkeypatch, caplog
):
  monkeypatch.setattr(attention_page, 'MOST', 2)
  (tmp_path / 'other').mkdir()
  other = tmp_path / 'other' / 'tall.png'
  other.write_bytes((folder / 'tall.png').read_bytes())
  paths = [str(folder / 'tall.png'), str(other), str(folder / 'wide.png')]
  page = Page(attention_page.write(model, paths, str(tmp_path / 'a.html')).read_text())
  names = [one['name'] for one in page.figures['queries'][0]['pictures']]
  assert names == ['tall.png', str(other)] and 'first 2 of 3' in caplog.text


@pytest.mark.parametrize(
  'paths, output, says',
  [
    (['broken.jpg'], '', 'none of 1 files could be read'),
    (['absent.png'], '', 'no file or folder'),
    (['tall.png'], 'found.jsonl', 'does not end in .html'),
  ],
)
def test_wrong_use_is_explained(model, folder, tmp_path, paths, output, says):
  output = str(tmp_path / output) if output else ''
  with pytest.raises(UserError, match=says):
    attention_page.write(model, [str(folder / path) for path in paths], output)
  assert not list(tmp_path.iterdir())


def test_an_overlap_has_no_use(model, folder):
  with pytest.raises(UserError, match='--nms=0.5 does not go with --attention'):
    attention(model, [str(folder)], Options(nms=0.5))


def test_a_detector_without_queries_is_explained(folder, tmp_path):
  without = detected.trained(queries=False)._replace(workdir=str(tmp_path))
  with pytest.raises(UserError, match='the model has no object queries'):
    attention_page.write(without, [str(folder / 'tall.png')])
