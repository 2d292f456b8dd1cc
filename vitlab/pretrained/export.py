"""Writes our weights as timm and Hugging Face read them, with all that travels with them."""

import json
import pathlib
from typing import Any

from jaxtyping import PyTree

from vitlab.data.vocabularies import exported
from vitlab.errors import UserError
from vitlab.pretrained import preprocessing, processors, word_vectors
from vitlab.pretrained.convert import export_tensors, find_format
from vitlab.pretrained.files import CONFIG, PROCESSOR, SAFETENSORS, VOCABULARY, write_safetensors
from vitlab.pretrained.source import About


def write(folder: str | pathlib.Path, tree: PyTree, about: About, format: str) -> pathlib.Path:
  """Writes a folder that timm or transformers loads, and `read` as well.

      timm.create_model('local-dir:FOLDER', pretrained=True)
      transformers.AutoModelForImageClassification.from_pretrained(FOLDER)
      transformers.AutoModelForSeq2SeqLM.from_pretrained(FOLDER)

  Args:
    folder: Made if it does not exist; files of the same names in it are replaced.
    tree: One player's collections, {'params': ..., ...}.
    about: The model, its pictures, its classes or words.
    format: 'timm', 'huggingface', 'torchvision' or 'yolox'; of word vectors one of
      `word_vectors.FORMATS`, where the folder may be a file, too.

  Returns:
    The folder, or the file.

  Raises:
    UserError: the family is not written in this format, or the format cannot say this model.
  """
  if format in word_vectors.FORMATS:
    return _word_vectors(pathlib.Path(folder), tree, about, format)
  table = find_format(about.spec['name'], format)
  if table.config is None:
    raise UserError(f'weights in the format {format} are read, not written: export to timm instead')
  spec, size = about.spec, about.image_size
  if table.rewrite:
    tree, spec = table.rewrite(tree, spec, size)
  config = table.config(spec, size)
  tensors = export_tensors(tree, spec['name'], format, spec)
  files = WRITERS[format](config, about)
  folder = pathlib.Path(folder)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
      (folder / name).write_text(json.dumps(value, indent=2) + '\n')
    if about.tokenizer:
      for name, data in exported.files(about.tokenizer, table.around).items():
        (folder / name).write_bytes(data)
    write_safetensors(folder / SAFETENSORS, tensors)
  except OSError as error:
    raise UserError(f'cannot write to {str(folder)!r}: {error.strerror}') from error
  return folder


def _word_vectors(path: pathlib.Path, tree: PyTree, about: About, format: str) -> pathlib.Path:
  if about.spec['name'] != 'word2vec':
    raise UserError(f'format {format} is of word vectors, and this is a {about.spec["name"]}')
  vectors = export_tensors(tree, about.spec['name'], 'word2vec', about.spec)['word_vectors']
  return word_vectors.write(path, about.vocabulary, vectors, format)


def _timm(config: dict[str, Any], about: About) -> dict[str, Any]:
  """Name of a JSON file -> its contents."""
  config['model_args']['in_chans'] = about.preprocessing.channels
  config['pretrained_cfg'] = preprocessing.to_timm(about.preprocessing) | dict(
    num_classes=config['num_classes'],
    # With this mark timm hands the model an img_size, a word that a ResNet does not have.
    fixed_input_size='img_size' in config['model_args'],
  )
  if about.class_names:
    config['label_names'] = list(about.class_names)
  return {CONFIG: config}


def _torchvision(config: dict[str, Any], about: About) -> dict[str, Any]:
  """Name of a JSON file -> its contents, for `read` alone: torchvision has no such file."""
  names = dict(label_names=list(about.class_names)) if about.class_names else {}
  return {CONFIG: config | names}


def _yolox(config: dict[str, Any], about: About) -> dict[str, Any]:
  """The same, with the colours that the model knows: YOLOX's own are fixed."""
  colours = {key: list(getattr(about.preprocessing, key)) for key in ('mean', 'std', 'fill')}
  return _torchvision(config | colours, about)


def _huggingface(config: dict[str, Any], about: About) -> dict[str, Any]:
  """Name of a JSON file -> its contents; there every class has a name."""
  files = {CONFIG: config}
  if about.vocabulary:
    files[VOCABULARY] = {word: i for i, word in enumerate(about.vocabulary)}
  if 'num_classes' in about.spec:
    names = about.class_names or [f'LABEL_{i}' for i in range(about.spec['num_classes'] or 0)]
    config |= dict(
      num_labels=len(names),
      id2label={str(i): name for i, name in enumerate(names)},
      label2id={name: i for i, name in enumerate(names)},
    )
  if about.preprocessing:
    config['num_channels'] = about.preprocessing.channels
    files[PROCESSOR] = processors.to_huggingface(about.preprocessing)
  return files


WRITERS = dict(timm=_timm, huggingface=_huggingface, torchvision=_torchvision, yolox=_yolox)
