"""Round trips: what is imported and exported, timm and Hugging Face load; no bit is lost."""

import json

import pytest
from _helpers import published, round_trips

from vitlab import pretrained
from vitlab.errors import UserError


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  root = tmp_path_factory.mktemp('published')
  return {
    'timm': published.save_timm(root / 'timm'),
    'huggingface': published.save_huggingface(root / 'huggingface'),
  }


MODELS = {'timm': published.timm_vit, 'huggingface': published.huggingface_vit}


@pytest.mark.parametrize('format', MODELS)
def test_vit_comes_in_and_goes_out(format, folders, tmp_path):
  image = published.pictures()
  expected = published.logits(MODELS[format](), image)
  round_trips.check(folders[format], expected, format, image, tmp_path)


def test_from_timm_to_huggingface_and_every_word_travels(folders, tmp_path):
  weights = pretrained.read(str(folders['timm']))
  image = published.pictures()
  variables, logits = round_trips.ours(weights, image)
  about = weights.about._replace(
    preprocessing=weights.about.preprocessing._replace(crop_fraction=0.8)
  )
  pretrained.write(tmp_path, variables, about, 'huggingface')
  loaded = round_trips.theirs(tmp_path, 'huggingface')
  assert abs(published.logits(loaded, image) - logits).max() < 2e-5
  assert loaded.config.id2label == dict(enumerate(published.CLASSES))
  assert loaded.config.label2id['bee'] == 1
  assert pretrained.read(str(tmp_path)).about.preprocessing == about.preprocessing


def test_classes_without_names_are_numbered_for_huggingface_only(folders, tmp_path):
  weights = pretrained.read(str(folders['timm']))
  variables, _ = round_trips.ours(weights, published.pictures())
  for format in MODELS:
    about = weights.about._replace(class_names=())
    pretrained.write(tmp_path / format, variables, about, format)
  assert 'label_names' not in json.loads((tmp_path / 'timm/config.json').read_text())
  config = json.loads((tmp_path / 'huggingface/config.json').read_text())
  assert config['id2label']['4'] == 'LABEL_4'


def test_what_cannot_be_written_is_refused(folders, tmp_path):
  weights = pretrained.read(str(folders['timm']))
  variables = {'params': {}}
  with pytest.raises(UserError, match='augreg are read, not written'):
    pretrained.write(tmp_path, variables, weights.about, 'augreg')
  with pytest.raises(UserError, match="unknown format of vit weights 'onnx'"):
    pretrained.write(tmp_path, variables, weights.about, 'onnx')
  (tmp_path / 'file').touch()
  variables, _ = round_trips.ours(weights, published.pictures())
  with pytest.raises(UserError, match='cannot write to .*file'):
    pretrained.write(tmp_path / 'file', variables, weights.about, 'timm')
