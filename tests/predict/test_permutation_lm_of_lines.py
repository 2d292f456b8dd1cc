"""Masks are filled by queries that see the rest of a line and no token in the place of a mask."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import pytest
import torch
from _helpers import text, xlnets
from _helpers.lines import lines_in, rows_of

from vitlab.data.vocabularies import exported, pieces
from vitlab.errors import UserError
from vitlab.predict import Options, permutation_lm, trained

LINES = text.sentences(60)[0]
VOCABULARY = pieces.Pieces(pieces.train(LINES, pieces.XLNET, 45, len(LINES)))


def publish(folder, kind='words'):
  """A folder as people publish it, and what it holds."""
  module = xlnets.make(kind, vocab_size=len(VOCABULARY))
  module.float().save_pretrained(folder)
  for name, content in exported.files(VOCABULARY.text).items():
    (folder / name).write_bytes(content)
  return module.double()


def test_a_folder_says_what_its_queries_do(tmp_path, capsys):
  module = publish(tmp_path)
  model = trained.load(str(tmp_path))
  assert model.kind == 'permutation_lm'
  texts = ['the dog [MASK] over the [MASK]', '[MASK] runs']
  output = tmp_path / 'out.jsonl'
  options = Options(output=str(output), nbest=3)
  permutation_lm.run(model, lines_in(tmp_path, *texts), options)
  filler = permutation_lm.Filler(model)
  for line, row in zip(texts, rows_of(output), strict=True):
    tokens = filler.read(line)
    hidden = tokens == permutation_lm.HIDDEN
    perm = np.broadcast_to(hidden, (1, len(tokens), len(tokens))).astype(float)
    mapping = np.eye(len(tokens))[hidden][None]
    given = xlnets.inputs(np.ones((1, len(tokens))), np.where(hidden, 0, tokens)[None])
    streams = dict(perm_mask=torch.tensor(perm), target_mapping=torch.tensor(mapping))
    wanted = module(**given, **streams).logits.softmax(-1)[0].detach().numpy()
    assert len(row['masks']) == line.count('[MASK]') == len(wanted)
    for found, theirs in zip(row['masks'], wanted):
      best = np.argsort(-theirs)[:3]
      assert [one['piece'] for one in found] == [VOCABULARY.pieces[i] for i in best]
      np.testing.assert_allclose([one['probability'] for one in found], theirs[best], atol=1e-4)
  assert capsys.readouterr().out.count('\n') == 9


def test_what_cannot_be_filled_is_named(tmp_path):
  publish(tmp_path)
  filler = permutation_lm.Filler(trained.load(str(tmp_path)))
  for line, message in [
    ('the dog', r'no \[MASK\]'),
    ('[MASK] [MASK]', r'nothing but \[MASK\]'),
    ('the [MASK] ' * 300, 'more than the 512'),
  ]:
    with pytest.raises(UserError, match=message):
      filler.read(line)


def test_weights_that_guess_no_words(tmp_path):
  publish(tmp_path, 'bare')
  with pytest.raises(UserError, match='guess no words .*\nfine-tune them'):
    trained.load(str(tmp_path))
