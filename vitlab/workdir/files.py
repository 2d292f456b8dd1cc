"""The small files of a workdir: JSON, rows of metrics, details of evaluators.

Files that a reader may open at any moment are replaced in one step (written beside, then renamed).
"""

import contextlib
import json
import math
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

CONFIG, FACTS, RESULT = 'config.json', 'facts.json', 'result.json'
METRICS, EVENTS, LOCK = 'metrics.jsonl', 'events.jsonl', '.lock'
DETAILS, CHECKPOINTS, REPORT = 'details', 'checkpoints', 'report.html'


def to_json(config: ConfigDict) -> dict[str, Any]:
  """A config as it stands in config.json: tuples are lists, everything else is as given."""
  return json.loads(json.dumps(config.to_dict(), default=str))


def from_json(stored: Mapping[str, Any]) -> ConfigDict:
  """A config as it was before it was written to config.json: lists were tuples."""

  def tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
      return {key: tuples(item) for key, item in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value

  return ConfigDict(tuples(stored)).lock()


def write_json(path: pathlib.Path, value: Any) -> None:
  """Replaces a JSON file in one step; numbers JSON has no name for (nan, inf) become null."""
  text = json.dumps(_finite(value), indent=2, allow_nan=False) + '\n'
  replace(path, text.encode())


def read_json(path: pathlib.Path) -> dict[str, Any] | None:
  """The object in a JSON file; None if it is not there or damaged: no JSON, or no object."""
  with contextlib.suppress(OSError, ValueError):
    if isinstance(value := json.loads(path.read_text()), dict):
      return value
  return None


def json_line(row: Mapping[str, Any]) -> bytes:
  """A row of metrics.jsonl; numbers that are not finite become null."""
  return json.dumps(_finite(row), allow_nan=False).encode() + b'\n'


def read_metrics(folder: pathlib.Path) -> list[dict[str, Any]]:
  """The rows of metrics.jsonl in the order of their steps; a torn last line is left out."""
  try:
    lines = (folder / METRICS).read_bytes().splitlines()
  except OSError:
    return []
  rows = {}
  for line in lines:
    with contextlib.suppress(ValueError, KeyError, TypeError):
      row = json.loads(line)
      rows[int(row['step'])] = row
  return [rows[step] for step in sorted(rows)]


def rewind_metrics(folder: pathlib.Path, step: int) -> list[dict[str, Any]]:
  """Drops the rows after `step`: what a restored run writes again. Returns the rows that stay."""
  rows = [row for row in read_metrics(folder) if row['step'] <= step]
  replace(folder / METRICS, b''.join(map(json_line, rows)))
  return rows


def write_details(folder: pathlib.Path, evaluator: str, details: Mapping[str, Any]) -> None:
  """Replaces details/<evaluator>.npz. Arrays of numbers or strings only: never a pickle."""
  path = folder / DETAILS / f'{evaluator}.npz'
  path.parent.mkdir(exist_ok=True)
  beside = path.with_suffix('.tmp')
  with open(beside, 'wb') as file:
    arrays = {key: np.asarray(value) for key, value in details.items()}
    np.savez_compressed(file, allow_pickle=False, **arrays)
  beside.replace(path)


def read_details(folder: pathlib.Path, evaluator: str) -> dict[str, np.ndarray]:
  """The arrays of details/<evaluator>.npz; empty if it is not there or not readable."""
  try:
    with np.load(folder / DETAILS / f'{evaluator}.npz', allow_pickle=False) as arrays:
      return dict(arrays)
  except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
    return {}


def replace(path: pathlib.Path, data: bytes) -> None:
  """Gives a file new contents in one step."""
  beside = path.with_name(path.name + '.tmp')
  with open(beside, 'wb') as file:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())  # a rename must not overtake its contents when the machine goes down
  beside.replace(path)


def _finite(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _finite(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [_finite(item) for item in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """{'optim': {'name': 'adamw'}} -> {'optim.name': 'adamw'}."""
  flat: dict[str, Any] = {}
  for key, value in tree.items():
    if isinstance(value, Mapping) and value:
      flat |= flatten(value, f'{prefix}{key}.')
    else:
      flat[prefix + key] = value
  return flat
