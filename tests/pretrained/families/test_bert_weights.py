"""BERT comes in and goes out with all its heads; what is easy to get wrong about it is seen."""

import json

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import numpy as np
import pytest
import torch
import transformers
from _helpers import berts, parity
from _helpers.hf_folders import changed
from flax import linen as nn
from safetensors.numpy import load_file

from vitlab import pretrained, registry
from vitlab.data.texts import labelled
from vitlab.data.vocabularies import learned
from vitlab.errors import UserError
from vitlab.pretrained.families import bert

KEY = jax.random.key(0)
HEADS = dict(
  pretraining=dict(head='words', next_passage=True, pooler=True),
  masked=dict(head='words', next_passage=False, pooler=False),
  next=dict(head='none', next_passage=True, pooler=True),
  texts=dict(head='text', next_passage=False, pooler=True, num_classes=3),
  tokens=dict(head='tokens', next_passage=False, pooler=False, num_classes=3),
  bare=dict(head='none', next_passage=False, pooler=True),
)
every_kind = pytest.mark.parametrize('kind', berts.KINDS)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """kind -> the oracle and the folder that it wrote."""
  found = {}
  for kind in berts.KINDS:
    oracle, folder = berts.make(kind), tmp_path_factory.mktemp(kind)
    oracle.save_pretrained(folder)
    found[kind] = oracle, folder
  return found


def differences(found, expected):
  """The largest, relative to the largest number, of every result; padding is not compared."""
  read = berts.SEGMENTS > 0
  for name, theirs in expected.items():
    mine, theirs = found[name], theirs.detach().numpy()
    if mine.shape[:2] == read.shape:
      mine, theirs = mine[read], theirs[read]
    yield parity.error(mine, theirs) / np.abs(theirs).max()


@every_kind
def test_a_file_says_everything(kind, saved):
  spec = pretrained.read(str(saved[kind][1])).about.spec
  wanted = dict(name='bert', variant='mu', vocab_size=17, max_length=12, num_segments=2)
  assert spec == wanted | dict(mlp='gelu', norm_epsilon=1e-12) | HEADS[kind]


@every_kind
def test_results_and_gradients_of_all_parameters_are_theirs(kind, saved, x64):
  oracle, folder = saved[kind]
  weights = pretrained.read(str(folder))
  model, variables = berts.in_double(weights)
  expected = berts.run(oracle)
  assert max(differences(berts.ours(model, variables), expected)) < 1e-12

  weighed = {name: parity.projection(x.shape) for name, x in expected.items()}
  for x in weighed.values():
    if x.shape[:2] == berts.SEGMENTS.shape:
      x *= (berts.SEGMENTS > 0)[..., None]
  oracle.zero_grad()
  sum((x * torch.tensor(weighed[name])).sum() for name, x in expected.items()).backward()
  theirs = {name: p.grad.numpy() for name, p in oracle.named_parameters()}

  def total(variables, *batch):
    out = model.apply(variables, *batch)[1]
    return sum((out[name] * x).sum() for name, x in weighed.items())

  found = jax.jit(jax.grad(total))(variables, berts.TOKENS, berts.SEGMENTS)
  like, known = jax.eval_shape(lambda: variables), dict(spec=weights.about.spec)
  wanted = pretrained.import_tensors(theirs, like, 'bert', 'huggingface', **known)
  assert parity.error(found, wanted) / np.abs(jax.tree.leaves(wanted)[0]).max() < 1e-11
  assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted)) > 0


@every_kind
def test_what_goes_out_computes_the_same_and_comes_back_bit_for_bit(kind, saved, tmp_path, x64):
  oracle, folder = saved[kind]
  weights = pretrained.read(str(folder))
  _, variables = berts.in_double(weights)
  pretrained.write(tmp_path, variables, weights.about, 'huggingface')
  config = json.loads((tmp_path / 'config.json').read_text())
  assert config['architectures'] == [berts.KINDS[kind]]
  theirs, info = getattr(transformers, berts.KINDS[kind]).from_pretrained(
    tmp_path, local_files_only=True, dtype=torch.float64, output_loading_info=True
  )
  assert not any(info.values())
  pairs = zip(berts.run(theirs.eval()).values(), berts.run(oracle).values())
  assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-12
  again = pretrained.read(str(tmp_path))
  assert again.about == weights.about
  assert parity.error(again.load(jax.eval_shape(lambda: variables)), variables) == 0


def test_the_bare_model_old_names_and_copies_are_all_the_same(saved, tmp_path):
  _, folder = saved['pretraining']
  weights = pretrained.read(str(folder))
  like = jax.eval_shape(registry.make('models', weights.about.spec).init, KEY, berts.TOKENS)
  wanted, tensors = weights.load(like), load_file(folder / 'model.safetensors')
  old = lambda n: n.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('m.bias', 'm.beta')  # noqa: E731
  copies = {
    'cls.predictions.decoder.weight': tensors['bert.embeddings.word_embeddings.weight'].copy(),
    'cls.predictions.decoder.bias': tensors['cls.predictions.bias'].copy(),
    'bert.embeddings.position_ids': np.arange(12)[None],
  }
  moved = tensors | copies
  moved.pop('cls.predictions.bias')
  given = (
    {old(name): x for name, x in (tensors | copies).items()},
    moved,
    {name.removeprefix('bert.'): x for name, x in tensors.items()},
  )
  for i, one in enumerate(given):
    path = changed(folder, tmp_path / str(i), one)
    assert parity.error(pretrained.read(path).load(like), wanted) == 0


def test_logits_of_some_places_are_those_of_all(saved, x64):
  model, variables = berts.in_double(pretrained.read(str(saved['pretraining'][1])))
  places = np.array([[6, 1], [0, 0]])
  run = jax.jit(lambda *batch: model.apply(variables, *batch)[0])
  every = berts.ours(model, variables)['logits']
  np.testing.assert_allclose(
    run(berts.TOKENS, berts.SEGMENTS, places),
    np.take_along_axis(every, places[..., None], 1),
    rtol=1e-12,
  )


def with_words(**words):
  return lambda model, spec: registry.make('models', {**spec, 'dtype': 'float64', **words})


# What one may believe instead of what is so.
BELIEFS = {
  'gelu by tanh': with_words(mlp='gelu_tanh'),
  'epsilon': with_words(norm_epsilon=1e-5),
  'norms in front': lambda model, spec: model.clone(
    encoder=model.encoder.clone(block=model.encoder.block.clone(norm_place='pre'))
  ),
  'no norm of embeddings': lambda model, spec: model.clone(
    embedding_norm=nn.Dropout(0.0, deterministic=True)
  ),
}


@pytest.mark.parametrize('belief', BELIEFS)
def test_what_is_easy_to_get_wrong_is_seen(belief, saved, x64):
  oracle, folder = saved['pretraining']
  weights = pretrained.read(str(folder))
  model, variables = berts.in_double(weights)
  model = BELIEFS[belief](model, weights.about.spec)
  assert min(differences(berts.ours(model, variables), berts.run(oracle))) > 1e-8


def test_segments_say_padding_and_passage(saved, x64):
  """Neither is the number of the other: theirs begin at 0, and padding is a mask."""
  oracle, folder = saved['pretraining']
  model, variables = berts.in_double(pretrained.read(str(folder)))
  expected = berts.run(oracle)
  for wrong in (berts.SEGMENTS + 1, np.minimum(berts.SEGMENTS, 1)):
    out = jax.jit(lambda *batch: model.apply(variables, *batch)[1])(berts.TOKENS, wrong)
    found = {name: np.asarray(out[name]) for name in expected}
    assert min(differences(found, expected)) > 1e-3


REFUSED = {
  'activation': (dict(hidden_act='selu'), "hidden_act of Hugging Face 'selu'"),
  'heads': (dict(num_attention_heads=3), 'num_attention_heads=3, into which the width 16'),
  'positions': (dict(position_embedding_type='relative_key'), "position_embedding_type='rel"),
  'decoder': (dict(is_decoder=True), 'is_decoder=True'),
  'number': (dict(hidden_size='wide'), "hidden_size='wide': it is to be a whole number above 0"),
  'class': (dict(architectures=['BertForMultipleChoice']), 'BertForMultipleChoice'),
  'unknown': (dict(rotary=True), 'rotary=True .not known here'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_our_model_does_not_compute_is_refused(case, saved, tmp_path):
  words, message = REFUSED[case]
  with pytest.raises(UserError, match=message):
    pretrained.read(changed(saved['pretraining'][1], tmp_path, **words))


def test_what_they_cannot_compute_is_not_written(tmp_path):
  spec = dict(name='bert', variant='mu', vocab_size=17)
  about = pretrained.About(spec | dict(mlp='swiglu'), None)
  with pytest.raises(UserError, match='BERT of Hugging Face has no such model.*this mlp'):
    pretrained.write(tmp_path, {'params': {}}, about, 'huggingface')
  about = pretrained.About(spec | dict(position_embedding='rope', norm_place='pre'), None)
  with pytest.raises(UserError, match='this position_embedding.*norm_place'):
    pretrained.write(tmp_path, {'params': {}}, about, 'huggingface')
  about = pretrained.About(spec | dict(head='text', num_classes=3, next_passage=True), None)
  with pytest.raises(UserError, match='this head'):
    pretrained.write(tmp_path, {'params': {}}, about, 'huggingface')


def test_a_vocabulary_without_cls_and_sep_puts_around_texts_what_stood_there(tmp_path):
  vocabulary = learned.byte_bpe(lambda: ['a bc de'] * 5, 260)
  spec = dict(name='bert', variant='mu', vocab_size=len(vocabulary), head='none', pooler=False)
  variables = jax.jit(registry.make('models', spec).init)(jax.random.key(0), berts.TOKENS)
  about = pretrained.About(spec, None, tokenizer=vocabulary.text)
  pretrained.write(tmp_path, variables, about, 'huggingface')
  ((tokens, _),) = labelled.encode(vocabulary, ['a bc'], None, 32)
  theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
  assert theirs('a bc')['input_ids'] == tokens.tolist()


def test_what_is_dropped_in_training_is_said_to_those_who_train_on():
  rates = dict(dropout_rate=0.3, attention_dropout_rate=0.2)
  config = bert._to_huggingface(dict(name='bert', vocab_size=17, **rates), None)
  wanted = dict(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.2)
  assert wanted.items() <= config.items()


def test_every_class_of_theirs_is_one_of_ours():
  assert set(bert.CLASSES.values()) == set(berts.KINDS.values())
