"""What a detector found in a file, and where it goes: pictures, lines of JSON, COCO's results."""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from vitlab.data import pictures
from vitlab.data.opened import convert, open_picture, upright
from vitlab.errors import UserError
from vitlab.lines import json_line, one_line
from vitlab.predict import drawing
from vitlab.predict.output import open_output

Write = Callable[['Found'], None]

_JPEG = ('.jpg', '.jpeg')


class Found(NamedTuple):
  """What is found in one file.

  Attributes:
    given: Its name.
    size: Height and width of its picture, the right way up.
    boxes: Left, top, right and bottom in its pixels, the surest first.
    scores: Of the boxes.
    classes: Of the boxes.
    error: Why nothing can be said, or ''.
  """

  given: str
  size: tuple[int, int] = (0, 0)
  boxes: Float[np.ndarray, 'n 4'] = np.zeros((0, 4))
  scores: Float[np.ndarray, ' n'] = np.zeros(0)
  classes: Int[np.ndarray, ' n'] = np.zeros(0, int)
  error: str = ''


def sink(
  output: str, files: Sequence[str], names: Sequence[str], ids: Sequence[int]
) -> contextlib.AbstractContextManager[Write]:
  """Where what is found goes: x.jsonl, x.json (COCO's results), else a folder of pictures.

  Args:
    output: The file or folder.
    files: All that will be given.
    names: Of the classes.
    ids: Of the classes in the files that the model was trained on.

  Raises:
    UserError: it cannot be written; pictures would be written over.
  """
  ending = pathlib.Path(output).suffix.lower()
  if ending == '.jsonl':
    return _lines(output, names)
  if ending == '.json':
    return _results(output, ids)
  named = ending[1:].isalpha() and not pathlib.Path(output).is_dir()  # x.csv is meant to be a file
  if named or pictures.is_picture(output):
    raise UserError(
      f'--output={output}: give a folder for pictures with boxes, a file x.jsonl, or x.json for '
      "COCO's results"
    )
  return _drawn(pathlib.Path(output), files, names)


@contextlib.contextmanager
def _lines(output: str, names: Sequence[str]) -> Iterator[Write]:
  """A line for each file: {"file", "height", "width", "objects": [{"class", "score", "box"}]}."""
  with open_output(output) as file:
    yield lambda found: file.write(json_line(_as_json(found, names)))


@contextlib.contextmanager
def _results(output: str, ids: Sequence[int]) -> Iterator[Write]:
  """COCO's list of results: image_id is the number that a file is named by, else its name."""
  rows = []
  with open_output(output) as file:
    yield lambda found: rows.extend(_as_results(found, ids))
    json.dump(rows, file)


@contextlib.contextmanager
def _drawn(folder: pathlib.Path, files: Sequence[str], names: Sequence[str]) -> Iterator[Write]:
  """A picture with boxes for each file, named as the file below the folder they have in common."""
  above = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])

  def write(found: Found) -> None:
    if found.error:
      return
    path = folder / _drawn_name(os.path.relpath(os.path.abspath(found.given), above))
    if path.exists() and any(path.samefile(file) for file in files):
      raise UserError(f'--output={folder} would write over {found.given}: choose another folder')
    opened = open_picture(found.given)
    picture = upright(convert(opened, 3, found.given), opened)
    labels = [
      f'{one_line(names[number])} {score:.2f}'
      for number, score in zip(found.classes.tolist(), found.scores.tolist())
    ]
    drawn = drawing.draw(picture, found.boxes, labels, found.classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(path, **(dict(quality=92) if path.suffix.lower() in _JPEG else {}))

  try:
    folder.mkdir(parents=True, exist_ok=True)
    yield write
  except OSError as error:
    raise UserError(f'--output={folder}: {error.strerror}: choose another folder') from error


def _drawn_name(name: str) -> str:
  """JPEG stays JPEG, all else becomes PNG."""
  known = pathlib.Path(name).suffix.lower() in (*_JPEG, '.png')
  return name if known else name + '.png'


def _as_json(found: Found, names: Sequence[str]) -> dict[str, Any]:
  if found.error:
    return dict(file=found.given, error=found.error)
  rows = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist())
  objects = [
    {'class': names[number], 'score': round(score, 6), 'box': [round(x, 3) for x in box]}
    for number, score, box in rows
  ]
  return dict(file=found.given, height=found.size[0], width=found.size[1], objects=objects)


def _as_results(found: Found, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
  stem = pathlib.Path(found.given).stem
  image_id = int(stem) if stem.isdecimal() else pathlib.Path(found.given).name
  rows = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist())
  for number, score, (left, top, right, bottom) in rows:
    box = [round(x, 3) for x in (left, top, right - left, bottom - top)]
    yield dict(image_id=image_id, category_id=ids[number], bbox=box, score=round(score, 6))
