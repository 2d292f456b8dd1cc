"""The page of lines of one's own: where a language model looks in them."""

import base64

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import runs
from _helpers.html_pages import Page

from vitlab.data.vocabularies import plain
from vitlab.errors import UserError
from vitlab.predict.trained import Trained
from vitlab.report import drawers
from vitlab.report.language_model import attention_page
from vitlab.train import setup

WORDS = plain.characters(['\n <abcdefghijklmnopqrstuvwxyz'])
CONTEXT = 12


@pytest.fixture(scope='module')
def model():
  facts = dict(vocab_size=len(WORDS), context=CONTEXT, tokenizer=WORDS.text)
  spec = dict(name='gpt', variant='mu', vocab_size=None, context=None)
  config = runs.config(model=spec, task=dict(name='language_model'))
  task = setup.make_task(config, facts)
  batch = dict(tokens=jax.ShapeDtypeStruct((1, CONTEXT + 1), np.int32))
  shapes, random = jax.eval_shape(task.init, jax.random.key(0), batch), np.random.default_rng(0)
  variables = jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.3, x.shape), x.dtype), shapes)
  return Trained('runs/it', 0, config, facts, task, variables)


def test_each_line_has_the_attention_that_it_has_alone(model, tmp_path, capsys):
  path = tmp_path / 'page.html'
  lines = ['the <b dog', '', 'NO', 'a cat', 'a line that is longer than the context']
  found = attention_page.write(model, lines, str(path))
  assert found == path and 'line 3: ' in capsys.readouterr().err
  read = Page(path.read_text())
  figures = read.figures['glances']
  assert [''.join(one['pieces']) for one in figures] == ['the <b dog', 'a cat', lines[4][:CONTEXT]]
  assert 'over 24 tokens' in read.text  # all but the first of each line, and no padding
  assert '3 lines' in read.text and '<h2>Heads</h2>' in path.read_text()
  (tokens,) = WORDS.encode(['a cat'])
  batch = dict(tokens=jnp.append(tokens, 0)[None])
  layers = np.stack(model.task.predict['attention'](model.variables, batch))[:, 0]
  rows, columns = np.tril_indices(5)
  packed = np.frombuffer(base64.b64decode(figures[1]['weights']), np.uint8) / 255
  wanted = np.asarray(layers)[:, :, rows, columns].ravel()
  np.testing.assert_allclose(packed, wanted, atol=0.5 / 255 + 1e-6)


def test_it_lies_in_the_workdir(model, tmp_path, capsys):
  lines = tmp_path / 'lines.txt'
  lines.write_text('the dog\n')
  drawers.attention(model._replace(workdir=str(tmp_path)), [str(lines)], attention_page.Options())
  assert capsys.readouterr().out.strip() == str(tmp_path / 'attention.html')
  assert '1 line,' in Page((tmp_path / 'attention.html').read_text()).text


def test_what_cannot_be_shown(model, tmp_path, capsys):
  with pytest.raises(UserError, match='does not end in .html'):
    attention_page.write(model, ['a'], str(tmp_path / 'page.txt'))
  with pytest.raises(UserError, match='no line could be read'):
    attention_page.write(model, ['', 'NO'], str(tmp_path / 'page.html'))
  assert 'line 2' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())
