"""The same few pictures with boxes in each format: name -> content, for `trees.write`."""

import json

from _helpers.pictures import encoded, noise

# Split -> pictures: name -> (height, width, [(class, x1, y1, x2, y2), ...])
PICTURES = dict(
  train={
    'a': (20, 40, [('dog', 4, 5, 14, 15), ('cat', 20, 0, 40, 20)]),
    'b': (40, 20, [('cat', 1, 2, 11, 32)]),
    'c': (20, 20, []),
  },
  val={'d': (20, 40, [('dog', 0, 0, 10, 10)])},
)
NAMES = ['cat', 'dog']
IDS = dict(cat=3, dog=17)  # of COCO's file


def picture(name, height, width):
  return encoded(noise(height, width, 3, seed=ord(name)))


def content(pictures=PICTURES['train'], first=1):
  """COCO's JSON as a dict; ids of pictures and annotations from `first`."""
  images, annotations = [], []
  for number, (name, (height, width, objects)) in enumerate(pictures.items(), first):
    about = dict(id=number, file_name=f'{name}.png', height=height, width=width)
    images.append(about)
    for label, x1, y1, x2, y2 in objects:
      box = dict(bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1), iscrowd=0)
      about = dict(id=len(annotations) + first, image_id=number, category_id=IDS[label])
      annotations.append(about | box)
  categories = [dict(id=IDS[name], name=name) for name in reversed(NAMES)]
  return dict(images=images, annotations=annotations, categories=categories)


def files(where, pictures=PICTURES):
  """The pictures of all splits; where(split, name) is the path of one without its ending."""
  return {
    f'{where(split, name)}.png': picture(name, height, width)
    for split, rows in pictures.items()
    for name, (height, width, _) in rows.items()
  }


def coco(pictures=PICTURES):
  texts = {
    f'annotations/instances_{split}2017.json': json.dumps(content(rows)).encode()
    for split, rows in pictures.items()
  }
  return texts | files(lambda split, name: f'{split}2017/{name}', pictures)


def xml(height, width, objects, size=True, difficult=()):
  """VOC's pixels count from 1, and the last one belongs to the box."""
  rows = ''.join(
    f'<object><name>{label}</name><difficult>{int(i in difficult)}</difficult><bndbox>'
    f'<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>'
    '<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>'
    for i, (label, x1, y1, x2, y2) in enumerate(objects)
  )
  about = f'<size><width>{width}</width><height>{height}</height><depth>3</depth></size>' * size
  return f'<annotation><filename>other.jpg</filename>{about}{rows}</annotation>'.encode()


def voc(pictures=PICTURES):
  root = 'VOCdevkit/VOC2007'
  texts = {
    f'{root}/ImageSets/Main/{split}.txt': '\n'.join(rows).encode()
    for split, rows in pictures.items()
  }
  texts[f'{root}/ImageSets/Main/cat_train.txt'] = b'a  1\nb  1\nc -1\n'
  for rows in pictures.values():
    texts |= {f'{root}/Annotations/{name}.xml': xml(*about) for name, about in rows.items()}
  return texts | files(lambda _, name: f'{root}/JPEGImages/{name}', pictures)


def label_rows(height, width, objects):
  rows = [
    (
      NAMES.index(label),
      (x1 + x2) / 2 / width,
      (y1 + y2) / 2 / height,
      (x2 - x1) / width,
      (y2 - y1) / height,
    )
    for label, x1, y1, x2, y2 in objects
  ]
  return '\n'.join(' '.join(map(repr, row)) for row in rows).encode()


YAML = b'path: ../datasets/pets\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n'


def yolo(pictures=PICTURES):
  texts = {'pets.yaml': YAML}
  for split, rows in pictures.items():
    texts |= {
      f'labels/{split}/{name}.txt': label_rows(*about) for name, about in rows.items() if about[2]
    }
  return texts | files(lambda split, name: f'images/{split}/{name}', pictures)


FORMATS = dict(coco=coco, voc=voc, yolo=yolo)
