"""A detector finds objects in files of any size: drawn, as lines of JSON, as results for COCO."""

import json

import numpy as np
import pytest
from _helpers import detectors
from PIL import Image

import launch
from vitlab import workdir
from vitlab.errors import UserError
from vitlab.predict import Options, detection, inputs, stablehlo

SIZES = {
  '000000000017.jpg': (640, 480),
  'deeper/9.png': (100, 300),
  'a.bmp': (64, 64),
}  # wide, high


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """A folder of pictures, and one of them again turned by its EXIF, and one that is none."""
  folder = tmp_path_factory.mktemp('pictures')
  (folder / 'deeper').mkdir()
  for name, size in SIZES.items():
    Image.new('RGB', size, 'grey').save(folder / name)
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned by a quarter
  Image.new('RGB', (300, 100), 'grey').save(folder / 'turned.jpg', exif=exif)
  (folder / 'broken.jpg').write_bytes(b'no picture')
  return folder


def rows(path):
  return {row['file'].rpartition('/')[2]: row for row in map(json.loads, path.open())}


def test_boxes_are_in_pixels_of_the_files_and_unreadable_ones_are_named(pictures, tmp_path, capsys):
  output = tmp_path / 'found.jsonl'
  model = detectors.trained(tmp_path)
  detection.run(model, [str(pictures)], Options(str(output), threshold=0.5))
  printed, complaints = capsys.readouterr()
  found = rows(output)
  assert [json.loads(line)['file'] for line in output.open()] == inputs.find_images([str(pictures)])
  wide = found['000000000017.jpg']
  assert (wide['height'], wide['width']) == (480, 640)
  assert wide['objects'] == [{'class': 'wide', 'score': 0.9, 'box': [160, 120, 480, 360]}]
  for name in ('9.png', 'turned.jpg'):
    tall = found[name]
    assert (tall['height'], tall['width']) == (300, 100)
    (one,) = tall['objects']
    assert one['class'] == 'tall'
    np.testing.assert_allclose(one['box'], [25, 75, 75, 225], atol=1e-3)
  assert found['broken.jpg'] == dict(
    file=str(pictures / 'broken.jpg'),
    error='not an image, or of a format that Pillow does not know',
  )
  assert complaints.count('\n') == 1 and 'cannot read' in complaints and 'broken.jpg' in complaints
  lines = printed.splitlines()
  assert len(lines) == 1 + 4 + 2 and lines[0].split() == ['file', 'objects', 'of']
  assert lines[1].split()[-2:] == ['1', 'wide']
  assert lines[-1] == f'{output}: scores of 0.5 or more (--threshold)'


def test_one_program_for_each_padded_shape(pictures, tmp_path, monkeypatch):
  monkeypatch.setattr(detection, 'BATCH_SIZE', 2)
  monkeypatch.setattr(detection, 'CHUNK', 3)
  traces = []
  files = inputs.find_images([str(pictures)]) * 3
  found = list(detection.Detector(detectors.trained(tmp_path, traces=traces))(files))
  assert sorted(traces) == [(2, 24, 32, 3), (2, 32, 24, 3)]
  assert [one.given for one in found] == files
  singles = [next(detection.Detector(detectors.trained(tmp_path))([file])) for file in files]
  for one, alone in zip(found, singles):
    np.testing.assert_array_equal(one.boxes, alone.boxes)


def test_nothing_readable_is_an_error(pictures, tmp_path):
  with pytest.raises(UserError, match='none of 1 files could be read'):
    detection.run(detectors.trained(tmp_path), [str(pictures / 'broken.jpg')])
  with pytest.raises(UserError, match='--nbest=2'):
    detection.run(detectors.trained(tmp_path), [str(pictures)], Options(nbest=2))


def test_the_usual_threshold_is_that_of_the_best_f1(pictures, tmp_path, capsys):
  model, output = detectors.trained(tmp_path), str(tmp_path / 'x.jsonl')
  assert detection.best_score(model) == 0.5
  for score, usual in ((0.25, 0.25), (np.inf, 0.5)):
    workdir.write_details(tmp_path, 'test', dict(score=score))
    assert detection.best_score(model) == usual
    detection.run(model, [str(pictures / 'a.bmp')], Options(output))
    assert f'scores of {usual} or more' in capsys.readouterr().out
  workdir.write_details(tmp_path, 'test', dict(score=0.25))
  detection.run(model, [str(pictures / 'a.bmp')], Options(output))
  assert [one['class'] for one in rows(tmp_path / 'x.jsonl')['a.bmp']['objects']] == [
    'wide',
    'corner',
  ]


@pytest.mark.parametrize(
  'nms, scores', [(None, [0.9, 0.4]), (1.0, [0.9, 0.8, 0.4]), (0.5, [0.9, 0.4])]
)
def test_suppression_is_the_models_own_or_of_all_its_candidates(pictures, tmp_path, nms, scores):
  (found,) = detection.Detector(detectors.trained(tmp_path), nms)([str(pictures / 'a.bmp')])
  np.testing.assert_allclose(found.scores, scores)


@pytest.mark.parametrize('image_size, shape', [((24, 32), (32, 32)), ((32, 32), (32, 32))])
def test_the_exported_program_answers_like_the_task(tmp_path, image_size, shape):
  model = detectors.trained(tmp_path, image_size)
  program = detection.exported(model)
  path = stablehlo.save(tmp_path / 'model', program.function, program.example, program.facts)
  loaded = stablehlo.load(path)
  image, size = np.zeros((2, *shape, 3), np.uint8), np.int32([[24, 32], [32, 20]])
  found = loaded(image, size)
  expected = model.task.predict['detections'](model.variables, dict(image=image, size=size))
  assert found.keys() == expected.keys() == {'boxes', 'scores', 'classes'}
  for name, column in expected.items():
    np.testing.assert_array_equal(found[name], column)
  assert loaded.facts['class_ids'] == [1, 7, 90] and loaded.facts['class_names'] == detectors.NAMES
  assert [one['dtype'] for one in loaded.facts['input']] == ['uint8', 'int32']


def test_flags_of_the_launcher_arrive(pictures, tmp_path, monkeypatch, capsys):
  model = detectors.trained(tmp_path)
  monkeypatch.setattr('vitlab.predict.trained.load', lambda *_: model)
  output = tmp_path / 'x.jsonl'
  flags = ['--mode=predict', f'--workdir={tmp_path}', '--compile_cache=off', '--threshold=0.5']
  assert launch.main([*flags, '--nms=1', f'--output={output}', str(pictures / 'a.bmp')]) == 0
  assert [one['score'] for one in rows(output)['a.bmp']['objects']] == [0.9, 0.8]
  capsys.readouterr()
