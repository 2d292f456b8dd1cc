"""What people get wrong with pictures and boxes: as `test_bad_inputs.py`, for detection."""

import json

import pytest
from _helpers import detection_files, detectors
from _helpers.refusal import refused
from _helpers.trees import write

from vitlab.cli import command_line

DIGITS = '--config=configs/yolo_digits.py:smoke'
JSON, VAL = (f'annotations/instances_{split}2017.json' for split in ('train', 'val'))
COCO, VOC, YOLO = (make() for make in detection_files.FORMATS.values())
MANY = detection_files.coco(
  {split: {n: (20, 40, [('dog', 4, 5, 14, 15)]) for n in 'abcdefgh'} for split in ('train', 'val')}
)
LIST = 'VOCdevkit/VOC2007/ImageSets/Main/train.txt'
BROKEN = b'\x89PNG no picture'


def coco(split=JSON, **lists):
  """The usual files with other lists in a JSON; a function changes what is there."""
  content = json.loads(COCO[split])
  changed = {key: new(content[key]) if callable(new) else new for key, new in lists.items()}
  return COCO | {split: json.dumps(content | changed).encode()}


def first(**values):
  """Changes the first row of a list."""
  return lambda rows: [rows[0] | values, *rows[1:]]


def objects(**values):
  return coco(annotations=first(**values))


def voc(old, new):
  return {name: text.replace(old, new) for name, text in VOC.items()}


def yolo(row):
  return YOLO | {'labels/train/a.txt': row}


def without(files, *endings):
  return {name: content for name, content in files.items() if not name.endswith(endings)}


# Files -> what the answer names.
FILES = {
  'JSON without images': (coco(images=[]), 'lists no images'),
  'JSON without its list of images': (COCO | {JSON: b'{}'}, 'has no list of images'),
  'JSON without categories': (COCO | {JSON: coco(categories=[])[JSON], VAL: b'[]'}, 'no list of'),
  'image missing': (without(COCO, 'a.png'), 'of which 1 are not there, as a.png'),
  'all images missing': (without(COCO, '.png'), 'of which 3 are not there'),
  'NaN': (objects(bbox=[float('nan'), 1, 2, 3]), 'NaN or infinite'),
  'negative size': (objects(bbox=[5, 5, -2, 3]), 'negative size'),
  'unknown category': (objects(category_id=99), 'the unknown category 99'),
  'category of another type': (objects(category_id='3'), "the unknown category '3'"),
  'a list for a category': (objects(category_id=[3]), 'has the category_id [3]'),
  'a list for an image': (objects(image_id=[1]), 'has the image_id [1]'),
  'a list for an id': (coco(images=first(id=[1])), 'has the id [1]'),
  'images of another type': (
    coco(annotations=lambda rows: [row | dict(image_id=str(row['image_id'])) for row in rows]),
    "image_id is '1' and so on, the ids of its images are 1, 2, 3",
  ),
  'area in words': (objects(area='big'), "annotation 1 has the area 'big'"),
  'area of NaN': (objects(area=float('nan')), 'annotation 1 has the area nan'),
  'crowd in words': (objects(iscrowd='0'), "has iscrowd '0': expected 0 or 1"),
  'size in words': (coco(images=first(height='x')), "train2017/a.png is 'x' high and 40 wide"),
  'size below zero': (coco(images=first(width=-4)), 'is 20 high and -4 wide'),
  'no size and no picture': (
    coco(images=first(height=None)) | {'train2017/a.png': BROKEN},
    'train2017/a.png: not an image',
  ),
  'no boxes': (coco(annotations=[]), "'train' has 3 pictures and not one box in them"),
  'no boxes to test on': (coco(VAL, annotations=[]), "'val' has 1 pictures and not one box"),
  'all corrupt': (
    {name: BROKEN if name.endswith('.png') else text for name, text in MANY.items()},
    'none of the first 8 pictures can be read',
  ),
  'one picture': (
    detection_files.coco({'train': {'a': detection_files.PICTURES['train']['a']}}),
    'one picture, and none to test on',
  ),
  'nothing to train on': (
    detection_files.coco({'val': detection_files.PICTURES['train']}),
    "unknown split 'train': possible are val",
  ),
  'VOC, image missing': (without(VOC, 'JPEGImages/a.png'), 'its picture a.jpg is not there'),
  'VOC, NaN': (voc(b'<xmin>5<', b'<xmin>nan<'), 'NaN or infinite'),
  'VOC, negative size': (voc(b'<xmin>5<', b'<xmin>30<'), 'negative size'),
  'VOC, size in words': (voc(b'<height>20', b'<height>tall'), "is 'tall' high"),
  'VOC, size of NaN': (voc(b'<width>40', b'<width>nan'), "and 'nan' wide"),
  'VOC, size below zero': (voc(b'<width>40', b'<width>-40'), "and '-40' wide"),
  'VOC, no boxes': (voc(b'object>', b'thing>'), 'not one box in them'),
  'VOC, an empty list': (VOC | {LIST: b''}, "split 'train' has no pictures"),
  'VOC, a list in another coding': (VOC | {LIST: b'a\n\xe9\n'}, '1 have no XML file'),
  'VOC, lists of nothing': (
    {name: b'z' if name.endswith('.txt') else text for name, text in VOC.items()},
    'none of its lists names a picture with an XML file',
  ),
  'YOLO, NaN': (yolo(b'0 nan 0.5 0.1 0.1'), 'NaN or infinite'),
  'YOLO, negative size': (yolo(b'0 0.5 0.5 -0.1 0.1'), 'negative size'),
  'YOLO, pixels': (yolo(b'0 50 50 10 10'), 'expected fractions'),
  'YOLO, unknown class': (yolo(b'7 0.5 0.5 0.1 0.1'), 'the unknown class 7'),
  'YOLO, no boxes': (YOLO | {f'labels/train/{n}.txt': b'' for n in 'abc'}, 'not one box in them'),
  'YOLO, no pictures': (without(YOLO, '.png'), 'train: images/train holds no pictures'),
  'pictures alone': (without(COCO, '.json'), 'holds no boxes'),
  'two formats': (COCO | VOC, 'may be coco'),
  'nothing': ({'empty/': b''}, 'holds no boxes'),
}

# Given beside a good set -> named.
ARGUMENTS = {
  'batch larger than the split': ([], '3 examples, fewer than one batch of 8'),
  'image_size of three': (['--config.data.image_size=(1,2,3)'], 'image_size=(1, 2, 3)'),
  'image_size swapped': (['--config.data.image_size=(64,32)'], 'give (short, long)'),
  'image_size below zero': (['--config.data.image_size=(-3,32)'], 'positive numbers'),
  'channels': (['--config.data.channels=2'], 'channels'),
  'another format': (['--config.data.name=voc'], 'holds no XML files'),
  'unknown format': (['--config.data.name=vok'], 'did you mean voc'),
}

# A whole command line -> named.
COMMANDS = {
  'no path': (['--config=configs/detr_small.py'], ':path=FOLDER'),
  'digits on a pair': (
    [DIGITS, '--config.data.image_size=(64,64)'],
    'expected a value of type int',
  ),
  'digits on words': ([DIGITS, '--config.data.image_size=big'], 'expected a value of type int'),
  'digits on half a pixel': (
    [DIGITS, '--config.data.image_size=64.5'],
    'expected a value of type int',
  ),
  'digits too small': ([DIGITS, '--config.data.image_size=8'], '32 or more'),
}


# Given to predict beside a picture -> named.
PREDICTIONS = {
  'a score of NaN': (['--threshold=nan'], '--threshold=nan: expected a number from 0 to 1'),
  'a score in percent': (['--threshold=50'], 'range [0, 1]'),
  'an overlap of NaN': (['--nms=nan'], '--nms=nan: expected a number from 0 to 1'),
  'an overlap in words': (['--nms=none'], '--nms=none'),
  'a table': (['--output={tmp}/found.csv'], 'give a folder for pictures with boxes'),
  'a picture': (['--output={tmp}/found.png'], 'give a folder for pictures with boxes'),
  'an overlap of attention': (['--nms=0.5', '--attention'], 'does not go with --attention'),
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)


def start(path, workdir):
  return [f'--config=configs/yolo_small.py:path={path},size=32', f'--workdir={workdir}']


@pytest.mark.parametrize('files, named', FILES.values(), ids=FILES)
def test_wrong_files(files, named, tmp_path, capsys):
  workdir = tmp_path / 'run'
  refused(capsys, start(write(tmp_path / 'set', files), workdir), named, workdir)


@pytest.mark.parametrize('arguments, named', ARGUMENTS.values(), ids=ARGUMENTS)
def test_wrong_arguments(arguments, named, tmp_path, capsys):
  workdir = tmp_path / 'run'
  refused(capsys, start(write(tmp_path / 'set', COCO), workdir) + arguments, named, workdir)


@pytest.mark.parametrize('arguments, named', COMMANDS.values(), ids=COMMANDS)
def test_wrong_command_lines(arguments, named, tmp_path, capsys):
  workdir = tmp_path / 'run'
  refused(capsys, [arguments[0], f'--workdir={workdir}', *arguments[1:]], named, workdir)


@pytest.mark.parametrize('arguments, named', PREDICTIONS.values(), ids=PREDICTIONS)
def test_wrong_predictions(arguments, named, tmp_path, monkeypatch, capsys):
  model = detectors.trained(tmp_path / 'run')
  monkeypatch.setattr('vitlab.predict.trained.load', lambda *_: model)
  (tmp_path / 'a.png').write_bytes(detection_files.picture('a', 20, 40))
  arguments = [text.replace('{tmp}', str(tmp_path)) for text in arguments]
  command = ['--mode=predict', f'--workdir={tmp_path / "run"}', '--compile_cache=off', *arguments]
  refused(capsys, [*command, str(tmp_path / 'a.png')], named, tmp_path / 'run')
  assert [path.name for path in tmp_path.iterdir()] == ['a.png']
