"""Runs of XLNet: a memory that outlives a stop and lies on eight devices, then a classifier."""

import pathlib

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import numpy as np
import pytest
import transformers
from _helpers import runs, text, xlnets
from safetensors.numpy import load_file

from vitlab.cli import config_file
from vitlab.data.vocabularies import exported, pieces
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.names import flatten
from vitlab.predict import evaluation, text_classification, trained
from vitlab.predict import folder as folder_lib
from vitlab.train import init_from, setup
from vitlab.train import run as engine
from vitlab.workdir.checkpoint import Checkpoints

ONE, EIGHT = jax.devices()[:1], jax.devices()[:8]
LINES = text.sentences(90)[0]
LABELS = ['bad', 'good', 'so so']  # in the order of the data, which is that of the alphabet
CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'


def ordered(root, **overrides):
  """A config of a text whose rows go on, with a memory of a row and a half."""
  data = dict(name='text', path=str(root / 'book.txt'), tokenizer='xlnet', vocab_size=50)
  data |= dict(context=15, words=True, order='lanes', cache=str(root / 'cache'))
  settings = dict(
    data=data,
    model=dict(name='xlnet', vocab_size=None, variant='mu', memory_length=24),
    task=dict(name='permutation_lm', special=None),
    evaluators=dict(val=dict(name='masked_tokens', split='val', every='4 steps')),
    checkpoint__best='val/masked_accuracy',
    duration='4 steps',
    log_every='1 steps',
    batch_size=8,
    ema_decay=0.0,
    optim=dict(name='sgd', learning_rate=0.5),
  )
  return runs.config(**settings | overrides)


def variables(folder):
  """All of the newest checkpoint, by name."""
  checkpoints = Checkpoints(folder / 'checkpoints', read_only=True)
  found = checkpoints.restore_arrays(('variables',), checkpoints.steps()[-1])
  return {name: np.asarray(x) for name, x in flatten(found.state['variables']).items()}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A text, a table of labelled ones, a run that was never stopped, and XLNets to start from."""
  root = tmp_path_factory.mktemp('xlnets')
  (root / 'book.txt').write_text('\n'.join(LINES * 4))
  rows = [f'{line}\t{LABELS[i % 3]}\n' for i, line in enumerate(LINES)]
  (root / 'x.tsv').write_text('sentence\tlabel\n' + ''.join(rows))
  vocabulary = pieces.Pieces(pieces.train(LINES, pieces.XLNET, 50, len(LINES)))
  for kind in ('words', 'bare'):
    module = xlnets.make(kind, vocab_size=len(vocabulary)).float()
    module.save_pretrained(root / kind)
    for name, content in exported.files(vocabulary.text).items():
      (root / kind / name).write_bytes(content)
  engine.train(ordered(root), str(root / 'run'), devices=ONE)
  return root


def test_a_stopped_run_continues_to_the_same_bits_with_its_memory(root, tmp_path, monkeypatch):
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 2)
  with pytest.raises(Preempted):
    engine.train(ordered(root), str(tmp_path), devices=ONE)
  monkeypatch.undo()
  engine.train(ordered(root), str(tmp_path), devices=ONE)
  assert runs.rows(tmp_path) == runs.rows(root / 'run')
  assert runs.result(tmp_path) == runs.result(root / 'run')
  found, wanted = variables(tmp_path), variables(root / 'run')
  assert any('memory/inputs' in name for name in wanted)
  for name, array in wanted.items():
    np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_eight_devices_do_what_one_does(root, tmp_path):
  engine.train(ordered(root), str(tmp_path), devices=EIGHT)
  found, wanted = variables(tmp_path), variables(root / 'run')
  for name, array in wanted.items():
    np.testing.assert_allclose(found[name], array, atol=2e-4, err_msg=name)


def test_a_run_is_evaluated_without_its_memory(root):
  (row,) = [row for row in runs.rows(root / 'run') if 'val/masked_loss' in row]
  folder = str(root / 'run')
  found = evaluation.evaluate(folder, trained.load(folder).config)['val/masked_loss']
  assert found == pytest.approx(row['val/masked_loss'], rel=1e-5)


def classify(root, weights):
  """The config that ships, with as little to do as can be."""
  arguments = f'weights={weights},path={root / "x.tsv"},length=24,model=xlnet'
  found = config_file.load(f'{CONFIGS / "bert_classify.py"}:{arguments}')
  with found.unlocked():
    found.data.cache = str(root / 'cache')
    found.duration, found.log_every, found.batch_size = '2 steps', '1 steps', 8
    found.evaluators.test.every = '2 steps'
  return found


@pytest.mark.parametrize('kind', ['words', 'bare', 'run'])
def test_a_new_head_is_put_on_what_somebody_has_trained(kind, root):
  filled, sources = init_from.resolve(classify(root, root / kind))
  made = setup.build(filled, devices=ONE, sources=sources)
  params = flatten(made.init().variables['model']['params'])
  if kind == 'run':
    before = flatten(trained.load(str(root / 'run')).variables['model']['params'])
    shared = [name for name in params if name.startswith(('encoder/', 'token_'))]
    assert len(shared) > 20
    for name in shared:
      np.testing.assert_array_equal(params[name], before[name])
  else:
    theirs = load_file(root / kind / 'model.safetensors')
    theirs = {name.removeprefix('transformer.'): array for name, array in theirs.items()}
    np.testing.assert_array_equal(
      params['token_embedding/embedding'], theirs['word_embedding.weight']
    )
    np.testing.assert_array_equal(
      params['encoder/block_1/attention/q/kernel'], theirs['layer.1.rel_attn.q']
    )
  assert not {'query_token', 'head/bias/bias'} & params.keys()
  assert (
    params['head/kernel'].shape == (16, 3) and {'pooler/kernel', 'pooler/bias'} <= params.keys()
  )
  assert made.dataset.facts['class_names'] == LABELS


def test_a_classifier_leaves_as_a_folder_that_transformers_reads(root, tmp_path):
  engine.train(classify(root, root / 'words'), str(tmp_path / 'run'), devices=ONE)
  assert {'test/accuracy', 'test/f1'} <= set(runs.rows(tmp_path / 'run')[-1])
  model = trained.load(str(tmp_path / 'run'))
  folder = folder_lib.export(model, 'huggingface', str(tmp_path / 'out'))
  tokenizer = transformers.XLNetTokenizer.from_pretrained(folder)
  theirs = transformers.pipeline(
    'text-classification', model=folder, tokenizer=tokenizer, top_k=None
  )(LINES[:5])
  mine, back = (
    list(text_classification.label(one, LINES[:5])) for one in (model, trained.load(folder))
  )
  for one, again, wanted in zip(mine, back, theirs, strict=True):
    assert dict(one.top) == pytest.approx(dict(again.top), abs=1e-6)
    wanted = {said['label']: said['score'] for said in wanted}
    assert dict(one.top) == pytest.approx(wanted, abs=1e-5) and set(wanted) == set(LABELS)
