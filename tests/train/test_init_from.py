"""A run starts from published weights or another run, once, and records what they decided."""

import shutil

import jax
import numpy as np
import pytest
from _helpers import marian, published, runs
from _helpers.specs import SPECS, tree_of

from vitlab import pretrained, workdir
from vitlab.errors import UserError
from vitlab.predict import trained
from vitlab.train import init_from as start_lib
from vitlab.train import setup
from vitlab.train.run import train

ONE = jax.devices()[:1]
MEAN, STD = (0.3,), (0.4,)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
  return str(published.save_timm(tmp_path_factory.mktemp('timm'), published.digits_vit()))


def config(path, **overrides):
  """A run that says nothing of its model but its name, for a few steps."""
  config = runs.config(duration='2 steps', **overrides)
  config.model = dict(name='vit', num_classes=None)
  config.init_from = path
  return config


def equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def start(config, devices=ONE):
  filled, sources = start_lib.resolve(config)
  return setup.build(filled, devices, sources=sources).init()


def test_the_weights_decide_what_the_config_leaves_open(weights):
  filled, _ = start_lib.resolve(config(weights))
  expected = dict(width=8, depth=1, num_heads=2, mlp='gelu', pool='cls', norm_epsilon=1e-6)
  assert expected.items() <= filled.model.to_dict().items()
  assert filled.model.num_classes is None  # that is for the data to say
  assert (filled.task.mean, filled.task.std) == (MEAN, STD)
  again, _ = start_lib.resolve(filled)
  assert again == filled


def test_the_state_holds_the_weights_in_parameters_and_average(weights):
  state = start(config(weights))
  params = pretrained.read(weights).load(state.variables['model'])['params']
  equal(state.variables['model']['params'], params)
  equal(state.ema['model']['params'], params)
  assert int(state.step) == 0


def test_a_new_head_starts_as_it_would_without_weights(weights):
  kept = start(config(weights)).variables['model']['params']
  new = start(config(dict(path=weights, head='new'))).variables['model']['params']
  assert np.any(kept['head']['kernel'] != 0) and not np.any(new['head']['kernel'])
  equal(kept['encoder'], new['encoder'])


def test_weights_may_decide_what_the_model_is_and_nothing_else(weights):
  filled, sources = start_lib.resolve(config(dict(path=weights, fresh='.*')))
  found = setup.build(filled, ONE, sources=sources).init().variables['model']
  assert filled.model.width == 8
  filled.unlock().init_from = None
  equal(found, setup.build(filled.lock(), ONE).init().variables['model'])


def test_over_a_mesh_of_eight_as_on_one_device(weights):
  one = start(config(weights))
  split = config(weights, mesh__fsdp=4)
  split.model.update(scan=True)
  many = start(split, jax.devices()[:8])
  kernel = many.variables['model']['params']['encoder']['blocks']['mlp']['up']['kernel']
  assert not kernel.sharding.is_fully_replicated and len(kernel.sharding.device_set) == 8
  one = one.variables['model']['params']['encoder']['block_0']['mlp']['up']['kernel']
  np.testing.assert_array_equal(kernel[0], one)


def test_a_run_continues_without_the_weights_and_is_not_started_again(weights, tmp_path):
  source = tmp_path / 'weights'
  shutil.copytree(weights, source)
  folder = tmp_path / 'run'
  config_ = config(str(source), checkpoint__every='1 steps')
  with pytest.raises(UserError, match='holds no run'):
    trained.load(str(tmp_path))
  half = config_.copy_and_resolve_references()
  half.evaluators = {}
  half.checkpoint.best = ''
  train(half, str(folder), devices=ONE)
  record = workdir.read_json(folder / start_lib.RECORD)
  assert record['init_from'] == str(source)
  kept = record['sources']['model']
  assert (kept['format'], kept['head'], kept['preprocessing']['mean']) == ('timm', 'keep', [0.3])
  assert len(kept['sha256']['model.safetensors']) == 64
  changed = half.copy_and_resolve_references()
  changed.model.update(drop_path_rate=0.5)
  with pytest.raises(UserError, match=r'model.drop_path_rate \(absent\) -> 0.5'):
    train(changed, str(folder), devices=ONE)
  (folder / workdir.RESULT).unlink()  # as if it had been killed before its end
  shutil.rmtree(folder / workdir.CHECKPOINTS / '2')
  shutil.rmtree(source)
  result = train(half, str(folder), devices=ONE)
  assert result['steps'] == 2
  # The workdir alone is a classifier, and weights to start from.
  model = trained.load(str(folder))
  state = start(config(str(folder)))
  equal(
    state.variables['model']['params'], jax.tree.map(np.asarray, model.variables)['model']['params']
  )


def test_a_teacher_comes_from_its_own_path(weights):
  config_ = runs.config(model__distillation_token=True)
  teacher = dict(num_classes=None)
  config_.task = dict(name='distillation', task=config_.task, teacher=teacher)
  config_.init_from = dict(teacher=weights)
  filled, sources = start_lib.resolve(config_)
  assert filled.task.teacher.name == 'vit' and filled.task.teacher.mlp == 'gelu'
  assert (filled.task.teacher_mean, filled.task.teacher_std) == (MEAN, STD)
  assert 'mean' not in filled.task.task
  state = setup.build(filled, ONE, sources=sources).init()
  teacher = state.variables['teacher']
  equal(teacher['params'], pretrained.read(weights).load(teacher)['params'])


@pytest.mark.parametrize('family', SPECS)
def test_every_family_says_what_it_is(family, tmp_path):
  spec = SPECS[family]
  format = 'huggingface' if family == 'resnet' else 'timm'  # which has no width
  about = pretrained.About(spec, pretrained.Preprocessing((112, 112)))
  pretrained.write(tmp_path, tree_of(spec, (112, 112)), about, format)
  config_ = config(str(tmp_path))
  config_.model = dict(num_classes=3)
  filled, sources = start_lib.resolve(config_)
  like = tree_of(filled.model.to_dict(), (112, 112))
  loaded = sources['model'].load(like)
  assert jax.tree.structure(loaded) == jax.tree.structure(like)
  assert filled.model.name == family


CONTRADICTIONS = {
  'gelu': (dict(mlp='gelu_tanh'), r"mlp='gelu_tanh' \(weights: 'gelu'\)"),
  'size': (dict(variant='mu/4', depth=1, width=12), r"variant='mu/4'.*width=12 \(weights: 8\)"),
  'pool': (dict(pool='gap'), r"pool='gap' \(weights: 'cls'\)"),
  'positions': (dict(position_embedding='rope_2d'), "position_embedding='rope_2d'"),
  'family': (dict(name='swin'), 'config.model is a swin, the weights in .* are of a vit'),
}


@pytest.mark.parametrize('case', CONTRADICTIONS)
def test_words_that_contradict_the_weights_are_named(case, weights):
  words, message = CONTRADICTIONS[case]
  config_ = config(weights)
  config_.model.update(words)
  with pytest.raises(UserError, match=message):
    start_lib.resolve(config_)


def test_words_that_say_the_same_in_another_way_do_not_contradict(weights):
  config_ = config(weights)
  same = dict(variant='S/4', width=8, depth=1, num_heads=2, mlp_dim=8)
  config_.model.update(same | dict(drop_path_rate=0.1, scan=True, layer_scale=0.0))
  filled, _ = start_lib.resolve(config_)
  assert filled.model.variant == 'S/4' and filled.model.mlp == 'gelu'


@pytest.mark.parametrize(
  ('request_', 'message'),
  [
    (dict(path='x', hed='new'), "unknown option of config.init_from for model 'hed'"),
    (dict(teacher=dict(head='new')), 'init_from for teacher has no path'),
    ('nowhere', "no weights at 'nowhere'"),
  ],
)
def test_requests_that_cannot_be_used(request_, message):
  with pytest.raises(UserError, match=message):
    start_lib.find(request_)


def test_a_player_that_does_not_exist_and_weights_that_do_not_fit(weights, tmp_path):
  with pytest.raises(UserError, match="unknown player in config.init_from 'critic'"):
    start(runs.config(init_from=dict(critic=weights)))
  config_ = config(weights)
  config_.model.num_classes = config_.task.num_classes = 11
  with pytest.raises(UserError, match=r"have 10 classes, the model 11\n.*head='new'"):
    train(config_, str(tmp_path / 'run'), devices=ONE)
  assert not (tmp_path / 'run').exists()


@pytest.fixture(scope='module')
def translator(tmp_path_factory):
  """A Marian of eleven words, the digits that `reverse` says; our <s> makes them twelve."""
  words = ('</s>', '<unk>', *'01234567', '<pad>')
  return str(marian.save(tmp_path_factory.mktemp('marian'), marian.make(), words))


def sentences(path, symbols=8, **model):
  """A run that says nothing of its model."""
  return runs.config(
    data=dict(name='reverse', symbols=symbols, max_length=6, train=64, test=32),
    task=dict(name='translation'),
    model=dict(vocab_size=None, **model),
    evaluators={},
    checkpoint__best='',
    duration='2 steps',
    init_from=path,
  )


def test_a_translation_starts_from_marian_and_again_from_its_own_run(translator, tmp_path):
  filled, _ = start_lib.resolve(sentences(translator))
  expected = dict(name='transformer', variant='mu', mlp='swish', logits_bias=True, tied=True)
  assert expected.items() <= filled.model.to_dict().items() and filled.model.vocab_size is None
  assert filled.task.to_dict() == dict(name='translation')
  params = start(filled).variables['model']['params']
  equal(params, pretrained.read(translator).load({'params': params})['params'])
  train(sentences(translator, dropout_rate=0.0), str(tmp_path / 'run'), devices=ONE)
  record = workdir.read_json(tmp_path / 'run' / start_lib.RECORD)['sources']['model']
  assert record['vocabulary'][:5] == ['<pad>', '<s>', '</s>', '<unk>', '0']
  learned = trained.load(str(tmp_path / 'run')).variables['model']['params']
  learned = jax.tree.map(np.asarray, learned)
  assert np.any(learned['source']['embedding'] != params['source']['embedding'])
  again, sources = start_lib.resolve(sentences(str(tmp_path / 'run'), scan=True))
  spec = again.model.to_dict()
  loaded = sources['model'].load(tree_of(spec | dict(vocab_size=12), ()))['params']
  equal(loaded['source'], learned['source'])
  kernel = loaded['decoder']['blocks']['cross']['q']['kernel'][1]
  equal(kernel, learned['decoder']['block_1']['cross']['q']['kernel'])
  other = tree_of(spec | dict(vocab_size=13), ())
  with pytest.raises(UserError, match='have 12 words, the model 13'):
    sources['model'].load(other)
  new = sources['model']._replace(head='new').load(other)['params']
  assert new.keys() == {'encoder', 'decoder'}


def test_other_words_are_refused_or_start_anew(translator):
  with pytest.raises(UserError, match=r"have 12 words, the model 13\n.*with new words.*head='new'"):
    start(sentences(translator, symbols=9))
  params = start(sentences(dict(path=translator, head='new'), symbols=9)).variables['model'][
    'params'
  ]
  like = {'params': params}
  kept = pretrained.read(translator).load(like, head='new')['params']
  equal({name: params[name] for name in kept}, kept)
  assert kept.keys() == {'encoder', 'decoder'} and params['source']['embedding'].shape[0] == 13


def test_sentences_and_pictures_are_not_mixed_up(translator, weights):
  with pytest.raises(UserError, match="mlp='relu' \\(weights: 'swish'\\)"):
    start_lib.resolve(sentences(translator, mlp='relu'))
  with pytest.raises(UserError, match='config.model is a vit, the weights in .* a transformer'):
    start_lib.resolve(config(translator))
  with pytest.raises(UserError, match='config.model is a transformer, the weights in .* a vit'):
    start_lib.resolve(sentences(weights, name='transformer'))
