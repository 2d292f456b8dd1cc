"""Files of weights -> named arrays and what was written beside them. Never a pickle."""

import hashlib
import io
import json
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors
from absl import logging
from safetensors import SafetensorError
from safetensors.numpy import save_file

from vitlab.data.archive import is_clutter
from vitlab.data.vocabularies import exported, published
from vitlab.data.vocabularies import kinds as vocabularies
from vitlab.errors import UserError
from vitlab.pretrained import word_vectors

CONFIG, PROCESSOR = 'config.json', 'preprocessor_config.json'
VOCABULARY = 'vocab.json'
SAFETENSORS, INDEX = 'model.safetensors', 'model.safetensors.index.json'
PICKLES = ('.bin', '.pt', '.pth', '.ckpt', '.pkl', '.tar')
DTYPES = {
  'F64': np.float64,
  'F32': np.float32,
  'F16': np.float16,
  'BF16': jnp.bfloat16,
  'I64': np.int64,
  'I32': np.int32,
  'U8': np.uint8,
  'BOOL': np.bool_,
}


class Files(NamedTuple):
  """What lies in a file or folder of weights.

  Attributes:
    tensors: Name -> array.
    config: config.json; {} if there is none.
    processor: preprocessor_config.json; {} if there is none.
    sha256: Of every file of weights, by its name.
    words: Number -> word of vocab.json; {} if there is none.
    tokenizer: The vocabulary of a language model that lies beside them, as the fact of a data set
      (`vitlab.data.vocabularies.Vocabulary.text`); '' if there is none.
  """

  tensors: Mapping[str, np.ndarray]
  config: Mapping[str, Any]
  processor: Mapping[str, Any]
  sha256: Mapping[str, str]
  words: Mapping[int, str] = {}
  tokenizer: str = ''


def read_files(path: str) -> Files:
  """A .safetensors or .npz file, one of word vectors, or a folder that timm or Hugging Face saved.

  What lies beside a single file belongs to it where the file is called model.safetensors.

  Raises:
    UserError: nothing there, no weights in the folder, a damaged file, a pickle.
  """
  place = pathlib.Path(path).expanduser()
  if not place.exists():
    raise UserError(f'no weights at {path!r}: give a file or folder that exists')
  if word_vectors.is_one(place):
    return _word_vectors(place)
  folder = place if place.is_dir() else place.parent
  files = _in_folder(place) if place.is_dir() else [place]
  tensors: dict[str, np.ndarray] = {}
  sha256, aliases = {}, {}
  for file in files:
    data = _bytes(file)
    tensors |= _arrays(file, data)
    aliases |= _metadata(data) if file.suffix == '.safetensors' else {}
    sha256[file.name] = hashlib.sha256(data).hexdigest()
  # What `safetensors.torch.save_model` writes of a tensor with several names: {dropped: kept}.
  for name, kept in aliases.items():
    if kept in tensors:
      tensors.setdefault(name, tensors[kept])
  alone = not place.is_dir() and place.name != SAFETENSORS
  beside = [{} if alone else read_json(folder / name) for name in (CONFIG, PROCESSOR, VOCABULARY)]
  config, processor, vocabulary = beside
  words = {number: word for word, number in vocabulary.items() if isinstance(number, int)}
  return Files(tensors, config, processor, sha256, words, '' if alone else _tokenizer(folder))


def holds_weights(path: str) -> bool:
  """Whether this looks like a file or folder of weights, even if they turn out to be of no use."""
  place = pathlib.Path(path)
  if not place.is_dir():
    return place.suffix in ('.safetensors', '.npz', *PICKLES) or word_vectors.is_one(place)
  kinds = {file.suffix for file in place.iterdir()}
  return '.safetensors' in kinds or (place / CONFIG).exists() and not kinds.isdisjoint(PICKLES)


def write_safetensors(path: pathlib.Path, tensors: Mapping[str, np.ndarray]) -> None:
  """Writes arrays as torch's libraries expect them: marked as theirs, or they refuse the file."""
  # safetensors 0.8.0 writes memory as it lies: a transposed view would come back with its numbers
  # in another order.
  ordered = {name: np.asarray(array, order='C') for name, array in tensors.items()}
  save_file(ordered, path, metadata={'format': 'pt'})


def _tokenizer(folder: pathlib.Path) -> str:
  """The vocabulary of a language model in a folder; '' and a warning if it cannot be read."""
  names = (published.WHOLE, published.WORDPIECE, published.MERGES, exported.PIECES)
  names += (exported.XLNETS,)
  if not any((folder / name).is_file() for name in names):
    return ''
  try:
    return vocabularies.load(str(folder)).text
  except UserError as error:
    logging.warning(f'{error}: its words stay unknown')
    return ''


def _word_vectors(file: pathlib.Path) -> Files:
  words, vectors = word_vectors.read(file)
  tensors = dict(word_vectors=vectors, targets=np.zeros_like(vectors))
  sha256 = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}
  return Files(tensors, {}, {}, sha256, dict(enumerate(words)))


def _in_folder(folder: pathlib.Path) -> list[pathlib.Path]:
  """The files that hold the weights of a folder."""
  if (folder / INDEX).exists():
    parts = read_json(folder / INDEX).get('weight_map')
    names = list(parts.values()) if isinstance(parts, dict) else []
    shards = sorted({name for name in names if isinstance(name, str) and name})
    if not shards:
      raise UserError(f'{str(folder / INDEX)!r} names no files of weights: save the model again')
    for shard in shards:
      if not (folder / shard).exists():
        raise UserError(f'{str(folder)!r} lacks {shard}, a part of its weights: copy it there too')
    return [folder / shard for shard in shards]
  if (folder / SAFETENSORS).exists():
    return [folder / SAFETENSORS]
  found = sorted(f for f in folder.glob('*.safetensors') if not is_clutter(f.name))
  if len(found) == 1:
    return found
  if found:
    names = ', '.join(f.name for f in found)
    raise UserError(f'{str(folder)!r} holds several files of weights: {names}\ngive one of them')
  for file in sorted(folder.iterdir()):
    if file.suffix in PICKLES:
      raise _pickle(file)
  raise UserError(f'no weights in {str(folder)!r}: expected {SAFETENSORS}, or give an .npz file')


def _bytes(file: pathlib.Path) -> bytes:
  if file.suffix in PICKLES:
    raise _pickle(file)
  if file.suffix not in ('.safetensors', '.npz'):
    raise UserError(f'{str(file)!r} is no file of weights: give a .safetensors or .npz file')
  try:
    return file.read_bytes()
  except OSError as error:
    raise UserError(f'cannot read {str(file)!r}: {error.strerror}') from error


def _arrays(file: pathlib.Path, data: bytes) -> dict[str, np.ndarray]:
  try:
    if file.suffix == '.npz':
      with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)
    # Not safetensors.numpy, which has no bfloat16, and not safetensors.flax, which fills devices.
    found = safetensors.deserialize(data)
    return {
      name: np.frombuffer(one['data'], DTYPES[one['dtype']]).reshape(one['shape'])
      for name, one in found
    }
  except KeyError as error:
    raise UserError(f'{str(file)!r} holds numbers of type {error}, vitlab reads floats') from error
  except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, SafetensorError) as error:
    reason = str(error).partition('\n')[0]
    raise UserError(
      f'{str(file)!r} is damaged or cut short: {reason}\ndownload or save it again'
    ) from error


def _metadata(data: bytes) -> dict[str, str]:
  """What the header of a .safetensors file, known to be whole, says beside its tensors."""
  start = 8 + int.from_bytes(data[:8], 'little')
  return json.loads(data[8:start]).get('__metadata__') or {}


def read_json(file: pathlib.Path) -> dict[str, Any]:
  """The object in a JSON file; {} where there is no file."""
  if not file.exists():
    return {}
  try:
    value = json.loads(file.read_text())
  except (OSError, ValueError) as error:
    raise UserError(f'{str(file)!r} cannot be read as JSON: {error}') from error
  if not isinstance(value, dict):
    raise UserError(f'{str(file)!r} holds no JSON object')
  return value


def _pickle(file: pathlib.Path) -> UserError:
  return UserError(
    f'{str(file)!r} is a pickle, which can run any code: vitlab does not open it'
    '\nwhere you trust it: safetensors.torch.save_file(torch.load(path), "model.safetensors")'
  )
