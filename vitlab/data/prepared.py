"""Prepared sets of TensorFlow Datasets, found and opened without TensorFlow."""

import importlib.util
import json
import os
import pathlib
from typing import Any

from vitlab.errors import UserError, unknown


def open_prepared(dataset: str, data_dir: str, download: bool) -> Any:
  """The builder of a prepared set; never touches the network unless `download`.

  Args:
    dataset: 'cifar10', with a config 'name/config', with a version 'name:1.0.0'.
    data_dir: Where it was prepared; TFDS_DATA_DIR or ~/tensorflow_datasets if not given.
    download: Download and prepare what is missing (needs TensorFlow).

  Raises:
    UserError: not prepared, or in a format without random access.
  """
  root = pathlib.Path(data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets')
  root = root.expanduser()
  folder = _find(root, dataset)
  if folder is None:
    if not download:
      raise _not_prepared(root, dataset)
    folder = _prepare(root, dataset)
  _check_format(folder, dataset)
  import tensorflow_datasets as tfds  # a second of imports that other data sets do not need

  return tfds.builder_from_directory(folder)


def _find(root: pathlib.Path, dataset: str) -> pathlib.Path | None:
  """The folder of the newest (or the given) version, if it is prepared."""
  name, _, version = dataset.partition(':')
  found = list((root / name).glob(f'{version or "*"}/dataset_info.json'))
  if not found and '/' not in name:  # the only config there is
    found = list((root / name).glob(f'*/{version or "*"}/dataset_info.json'))
    configs = sorted({file.parents[1].name for file in found})
    if len(configs) > 1:
      raise unknown(f'config of {name}', f'{name}/?', [f'{name}/{config}' for config in configs])
  return max(found, key=_version).parent if found else None


def _version(file: pathlib.Path) -> list[int]:
  return [int(part) if part.isdigit() else -1 for part in file.parent.name.split('.')]


def _not_prepared(root: pathlib.Path, dataset: str) -> UserError:
  there = sorted({f.relative_to(root).parts[0] for f in root.glob('*/**/dataset_info.json')})
  name = dataset.partition(':')[0]
  return UserError(
    f'data set {dataset!r} is not prepared in {root} (there: {", ".join(there) or "nothing"})\n'
    'prepare it once, with TensorFlow installed: python -c "import tensorflow_datasets as tfds; '
    f"tfds.builder('{name}', data_dir='{root}', file_format='array_record')"
    '.download_and_prepare()"\nor point data_dir (or TFDS_DATA_DIR) to where it is'
  )


def _prepare(root: pathlib.Path, dataset: str) -> pathlib.Path:
  if not importlib.util.find_spec('tensorflow'):
    raise UserError(f'to download and prepare {dataset!r}, install tensorflow')
  import tensorflow_datasets as tfds

  builder = tfds.builder(dataset, data_dir=root, file_format='array_record')
  builder.download_and_prepare()
  return pathlib.Path(builder.data_dir)


def _check_format(folder: pathlib.Path, dataset: str) -> None:
  # Parquet has random access too, but tfds silently ignores slices of its splits.
  given = json.loads((folder / 'dataset_info.json').read_text()).get('fileFormat', 'tfrecord')
  if given != 'array_record':
    raise UserError(
      f'data set {dataset!r} in {folder} is prepared as {given}, which has no random access\n'
      "prepare it again with tfds.builder(..., file_format='array_record')"
    )
