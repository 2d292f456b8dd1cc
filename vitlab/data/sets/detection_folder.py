"""Your own pictures with boxes, in whatever format they are: COCO, Pascal VOC or YOLO.

The format is found by the files: JSON, XML, or a YAML file of the set with text files of boxes. See
`vitlab.data.sets.coco`, `voc` and `yolo` for how each is read and where its splits come from.
"""

import functools
import logging
from collections.abc import Sequence

from vitlab import registry
from vitlab.data import Dataset
from vitlab.data.archive import open_trees
from vitlab.errors import UserError

_ENDINGS = dict(coco=('.json',), voc=('.xml',), yolo=('.yaml', '.yml'))
_log = logging.getLogger(__name__)


def make(
  path: str,
  image_size: int | Sequence[int] = (480, 640),
  channels: int = 3,
  test_fraction: float = 0.1,
  split_seed: int = 0,
  in_memory: bool = False,
) -> Dataset:
  """The splits as the format has them.

  Args:
    path: A folder, or an archive, of all files; archives in the folder are looked into.
    image_size: (short, long), the sides of the shape that wide and tall pictures are padded to; or
      one number, the side of a square one for all.
    channels: 3 (RGB) or 1 (grey).
    test_fraction: Held out as 'test' where there is no other split.
    split_seed: Which ones are held out.
    in_memory: Decode a picture once and keep it.

  Raises:
    UserError: none of the formats, or several; as the set of the format.
  """
  if not path:
    raise UserError('data set detection_folder: path is empty; give a folder of pictures and boxes')
  kind = _kind(path, open_trees(path).names)
  how = dict(path=path, image_size=image_size, channels=channels, test_fraction=test_fraction)
  how |= dict(split_seed=split_seed, in_memory=in_memory)
  return registry.make('data.sets', dict(name=kind, **how))


def _kind(path: str, names: Sequence[str]) -> str:
  """The format that most of the telling files are of, if only one can be meant."""
  found = {
    kind: [name for name in names if name.lower().endswith(endings)]
    for kind, endings in _ENDINGS.items()
  }
  if not any(name.endswith('.txt') for name in names):
    del found['yolo']
  there = {kind: files for kind, files in found.items() if files}
  if len(there) == 1:
    (kind,) = there
    _say(f'{path}: {kind}, by {there[kind][0]}')
    return kind
  if there:
    raise UserError(
      f'{path} may be '
      + ' or '.join(f'{kind} ({files[0]})' for kind, files in there.items())
      + f'\nsay which: --config.data.name={next(iter(there))}'
    )
  raise UserError(
    f'{path} holds no boxes: neither JSON (COCO) nor XML (Pascal VOC), nor a YAML file and text '
    'files (YOLO)\nexport your annotations in one of these; of pictures sorted into folders by '
    'class, one can only learn to classify'
  )


@functools.cache  # the report of a run reads its data once more
def _say(message: str) -> None:
  _log.warning('%s', message)
