"""Trained models as folders that other libraries load, and such folders as trained models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import marian, parity, published, round_trips, runs
from transformers import AutoModelForSeq2SeqLM

from vitlab import pretrained
from vitlab.errors import UserError
from vitlab.predict import evaluation, program, trained
from vitlab.predict import folder as folder_lib
from vitlab.train import init_from
from vitlab.train.run import train


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A workdir of two steps whose ViT timm can hold."""
  folder = str(tmp_path_factory.mktemp('runs') / 'digits')
  config = runs.config(duration='2 steps', model__mlp='gelu', model__dropout_rate=0.0)
  config.evaluators = {}
  config.checkpoint.best = ''
  train(config, folder, devices=jax.devices()[:1])
  return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return str(published.save_timm(tmp_path_factory.mktemp('timm')))


def test_a_run_exports_to_timm_which_gives_the_same_logits(run):
  model = trained.load(run)
  target = folder_lib.export(model, 'timm')
  assert target == f'{run}/export/timm'
  pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
  expected = model.task.predict['logits'](model.variables, {'image': jnp.asarray(pixels)})
  normalised = (pixels / 255 - 0.5) / 0.5
  theirs = published.logits(round_trips.theirs(target, 'timm'), normalised.astype(np.float32))
  np.testing.assert_allclose(theirs, expected, atol=2e-5)
  again = trained.load(target)
  assert again.facts['class_names'] == model.facts['class_names']
  assert parity.error(again.variables, model.variables) == 0


def test_a_folder_of_others_is_a_classifier(folder, tmp_path):
  model = trained.load(folder)
  assert (model.step, model.facts['class_names']) == (0, list(published.CLASSES))
  assert model.facts['image']['interpolation'] == 'bicubic'
  picture = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
  image = ((picture / 255 - 0.5) / 0.5).astype(np.float32)
  logits = model.task.predict['logits'](model.variables, {'image': jnp.asarray(picture)})
  expected = published.logits(published.timm_vit(), image)
  np.testing.assert_allclose(logits, expected, atol=2e-5)
  target = folder_lib.export(model, 'huggingface', str(tmp_path / 'huggingface'))
  theirs = published.logits(round_trips.theirs(target, 'huggingface'), image)
  np.testing.assert_allclose(theirs, expected, atol=2e-5)
  assert program.export(model, str(tmp_path / 'model.stablehlo')).exists()


def test_what_is_no_classifier_is_refused(folder, tmp_path):
  weights = pretrained.read(folder)
  like = round_trips.like(round_trips.model(weights), published.pictures())
  spec = {**weights.about.spec, 'num_classes': None}
  headless = weights.load(like, head='new')
  pretrained.write(tmp_path, headless, weights.about._replace(spec=spec), 'timm')
  with pytest.raises(UserError, match='have no classifier: fine-tune them with init_from'):
    trained.load(str(tmp_path))


def test_a_translator_of_others_is_evaluated_and_goes_out_again(tmp_path):
  words = ('</s>', '<unk>', *'01234567', '<pad>')
  source = marian.save(tmp_path / 'marian', marian.make(), words)
  model = trained.load(str(source))
  vocabulary = ['<pad>', '<s>', '</s>', '<unk>', *'01234567']
  assert model.facts == dict(vocab_size=12, vocabulary=vocabulary)
  tokens = jnp.array([[4, 7, 5, 9, 2], [8, 2, 0, 0, 0]])
  targets = jnp.array([[9, 5, 7, 2], [8, 3, 2, 0]])
  expected = model.task.predict['logits'](model.variables, dict(tokens=tokens, targets=targets))
  target = folder_lib.export(model, 'huggingface', str(tmp_path / 'out'))
  theirs = AutoModelForSeq2SeqLM.from_pretrained(target, local_files_only=True).eval()
  inputs = np.array([[1, 9, 5, 7], [1, 8, 3, 2]])
  np.testing.assert_allclose(marian.logits(theirs, tokens, inputs, pad=0), expected, atol=2e-5)
  config = runs.config(
    data=dict(name='reverse', symbols=8, max_length=6, train=64, test=32),
    task=dict(name='translation'),
    model=dict(vocab_size=None),
    evaluators=dict(test=dict(name='sequences', every='1 steps')),
    init_from=target,
  )
  metrics = evaluation.evaluate(target, init_from.resolve(config)[0])
  assert metrics['test/loss'] > 1
  other = str(marian.save(tmp_path / 'letters', marian.make()))
  with pytest.raises(UserError, match=r'(?s)vocabulary .* is not the one that .*letters'):
    evaluation.evaluate(other, init_from.resolve(config.copy_and_resolve_references())[0])
  with pytest.raises(UserError, match="'translation' has nothing for --mode=export"):
    program.export(model, str(tmp_path / 'model.stablehlo'))
