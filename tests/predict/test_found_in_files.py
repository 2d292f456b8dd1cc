"""Where what is found goes: pictures that nothing is lost of, and files that others read."""

import contextlib
import io
import json

import numpy as np
import pytest
from _helpers import detectors
from PIL import Image
from pycocotools import coco

from vitlab.errors import UserError
from vitlab.predict import Options, detection


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  (folder / 'deeper').mkdir()
  for name, size in {
    '000000000017.jpg': (640, 480),
    'deeper/9.png': (100, 300),
    'a.bmp': (64, 64),
  }.items():
    Image.new('RGB', size, 'grey').save(folder / name)
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned by a quarter
  Image.new('RGB', (300, 100), 'grey').save(folder / 'turned.jpg', exif=exif)
  return folder


def test_results_are_read_by_pycocotools(pictures, tmp_path):
  output = tmp_path / 'results.json'
  detection.run(
    detectors.trained(tmp_path), [str(pictures / '000000000017.jpg')], Options(str(output))
  )
  truth = coco.COCO()
  truth.dataset = dict(
    images=[dict(id=17)], categories=[dict(id=i) for i in detectors.IDS], annotations=[]
  )
  with contextlib.redirect_stdout(io.StringIO()):
    truth.createIndex()
    found = truth.loadRes(str(output)).anns.values()
  assert [one['category_id'] for one in found] == [1, 90]  # all, whatever their score
  assert [one['bbox'] for one in found] == [[160, 120, 320, 240], [0, 0, 64, 240]]
  assert [one['score'] for one in found] == [0.9, 0.4]


def test_results_of_other_names_and_of_nothing(pictures, tmp_path):
  output = tmp_path / 'results.json'
  detection.run(detectors.trained(tmp_path), [str(pictures / 'a.bmp')], Options(str(output)))
  assert {row['image_id'] for row in json.loads(output.read_text())} == {'a.bmp'}
  options = Options(str(output), threshold=0.95)
  detection.run(detectors.trained(tmp_path), [str(pictures / 'a.bmp')], options)
  assert json.loads(output.read_text()) == []


def test_boxes_are_drawn_into_a_folder_of_the_workdir(pictures, tmp_path, capsys):
  detection.run(detectors.trained(tmp_path), [str(pictures)], Options(threshold=0.5))
  drawn = tmp_path / 'predictions'
  names = {str(path.relative_to(drawn)) for path in drawn.rglob('*.*')}
  assert names == {'000000000017.jpg', 'deeper/9.png', 'a.bmp.png', 'turned.jpg'}
  with Image.open(drawn / '000000000017.jpg') as wide, Image.open(drawn / 'turned.jpg') as turned:
    assert wide.size == (640, 480) and turned.size == (200, 600)  # small ones are enlarged
    changed = np.abs(np.asarray(wide).astype(int) - 128).max(-1) > 60
    assert changed[130:350, 160].all() and not changed[130:350, 165:475].any()
  assert f'{drawn}: scores' in capsys.readouterr().out


def test_pictures_are_not_written_over(pictures, tmp_path):
  before = (pictures / 'turned.jpg').read_bytes()
  with pytest.raises(UserError, match='would write over .*: choose another folder'):
    detection.run(detectors.trained(tmp_path), [str(pictures)], Options(str(pictures)))
  assert (pictures / 'turned.jpg').read_bytes() == before


@pytest.mark.parametrize('name', ['no/such/x.jsonl', 'no/such/x.json', 'drawn.png', 'file/x'])
def test_an_output_that_cannot_be_written_fails_before_the_work(pictures, tmp_path, name):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='--output='):
    detection.run(detectors.trained(tmp_path), [str(pictures)], Options(str(tmp_path / name)))
