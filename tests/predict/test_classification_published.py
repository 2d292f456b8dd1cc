"""Published weights say of a picture what their own library says, and what is made of them too."""

import _helpers.pipelines as pipelines  # isort: skip
import json

import jax
import numpy as np
import pytest
import timm
import torch
from _helpers import published, runs
from _helpers.pictures import kinds
from transformers import AutoImageProcessor, AutoModelForImageClassification

from vitlab.data.pictures import preprocess
from vitlab.predict import classification, trained
from vitlab.predict import folder as folder_lib
from vitlab.train import weights as lib
from vitlab.train.run import train

KINDS = kinds()
WORDS = {
  'center 0.9': dict(crop_mode='center', crop_pct=0.9),
  'center 1.0': dict(crop_mode='center', crop_pct=1.0),
  'border': dict(crop_mode='border', crop_pct=1.0),
}


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  for name, content in KINDS.items():
    (folder / name).write_bytes(content)
  return [str(folder / name) for name in KINDS]


def said(folder, files):
  """Probabilities by class, as `--mode=predict` gives them."""
  labels = classification.label(trained.load(str(folder)), files)
  return [[dict(label.top)[name] for name in published.CLASSES] for label in labels]


def timm_folder(folder, **words):
  published.save_timm(folder)
  config = json.loads((folder / 'config.json').read_text())
  config['pretrained_cfg'] |= words
  (folder / 'config.json').write_text(json.dumps(config))
  return folder


def by_timm(folder):
  model = timm.create_model(f'local-dir:{folder}', pretrained=True).eval()
  pictures = [pipelines.by_timm(content, model.pretrained_cfg) for content in KINDS.values()]
  with torch.no_grad():
    return model(torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2)).softmax(-1).numpy()


def by_huggingface(folder):
  processor = AutoImageProcessor.from_pretrained(folder, use_fast=False)
  model = AutoModelForImageClassification.from_pretrained(folder).eval()
  pictures = [pipelines.by_huggingface(content, processor) for content in KINDS.values()]
  with torch.no_grad():
    pictures = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2)
    return model(pictures).logits.softmax(-1).numpy()


@pytest.mark.parametrize('name', WORDS)
def test_timm(name, files, tmp_path):
  folder = timm_folder(tmp_path, **WORDS[name])
  np.testing.assert_allclose(said(folder, files), by_timm(folder), atol=1e-6)


def test_huggingface(files, tmp_path):
  folder = published.save_huggingface(tmp_path)
  np.testing.assert_allclose(said(folder, files), by_huggingface(folder), atol=1e-6)
  processor = dict(image_processor_type='ConvNextImageProcessor', size=dict(shortest_edge=32))
  (folder / 'preprocessor_config.json').write_text(json.dumps(processor))
  np.testing.assert_allclose(said(folder, files), by_huggingface(folder), atol=1e-6)


def test_a_run_that_starts_from_them_prepares_and_exports_as_they_do(tmp_path, caplog):
  """`library` travels: weights of timm, a run, its facts and its exports to both."""
  weights = timm_folder(tmp_path / 'weights', **WORDS['border'])
  photos = tmp_path / 'photos'
  for number, (name, content) in enumerate(KINDS.items()):
    place = photos / ('even', 'odd')[number % 2]
    place.mkdir(parents=True, exist_ok=True)
    (place / f'{name}.png').write_bytes(content)
  config = runs.config(duration='3 steps', batch_size=4, evaluators={}, checkpoint__best='')
  config.data = dict(name='folder', path=str(photos))
  config.model = dict(num_classes=None)
  config.init_from = dict(path=str(weights), head='new')
  config.task.augment = ''
  config.task.mean = config.task.std = None
  train(config, str(tmp_path / 'run'), devices=jax.devices()[:1])
  run = trained.load(str(tmp_path / 'run'))
  theirs = trained.load(str(weights)).facts['image']
  assert (
    run.facts['image']
    | dict(fill=tuple(theirs['fill']))
    | dict(image_size=tuple(theirs['image_size']))
    == theirs
  )
  assert theirs['library'] == 'timm' and theirs['fill'] == (128, 128, 128)
  caplog.clear()
  for format, read in (('timm', by_timm), ('huggingface', by_huggingface)):
    folder = folder_lib.export(run, format)
    labels = classification.label(run, [str(path) for path in sorted(photos.rglob('*.png'))])
    expected = dict(zip(KINDS, read(folder)))
    for label in labels:
      name = label.given.rpartition('/')[2].removesuffix('.png')
      if name == 'exif' and format == 'huggingface':
        continue  # its pipelines turn it, timm does not
      np.testing.assert_allclose(
        [dict(label.top)[c] for c in ('even', 'odd')], expected[name], atol=1e-6, err_msg=name
      )
    again = trained.load(folder).facts['image']
    np.testing.assert_array_equal(
      preprocess(KINDS['tall'], **again), preprocess(KINDS['tall'], **theirs)
    )
  assert not [line for line in caplog.messages if 'other pictures' in line]


def test_without_any_file_beside_them_what_is_assumed_is_said(tmp_path, caplog):
  model = timm.create_model('vit_tiny_patch16_224', img_size=32, depth=1, num_classes=5)
  folder = published.save_timm(tmp_path, model)
  (folder / 'config.json').unlink()
  alone = (folder / 'model.safetensors').rename(folder / 'mine.safetensors')
  lib.find(str(alone))
  line, grid = caplog.messages
  assert str(alone) in grid and 'a square grid of 2×2 patches' in grid
  assert str(alone) in line and 'mean=(0.5, 0.5, 0.5)' in line and 'crop_fraction=0.9' in line
