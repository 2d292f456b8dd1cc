"""The page of sentences of one's own."""

import pytest
from _helpers import translators

from vitlab.errors import UserError
from vitlab.report.translation import attention_page

LINES = ['the dog runs', '', 'a <b> cat']


@pytest.fixture(scope='module')
def model():
  return translators.trained(translators.TRANSFORMER, search=dict(name='beam', beams=2))


def test_a_page_of_every_sentence_layer_and_head(model, tmp_path, capsys):
  path = attention_page.write(model, LINES, str(tmp_path / 'page.html'), nbest=2)
  assert len(capsys.readouterr().out.splitlines()) == 4
  text = path.read_text()
  assert '2 sentences' in text and '&lt;b&gt;' in text and '<b> cat' not in text
  for layer in (1, 2):
    for head in (1, 2):
      assert text.count(f'layer {layer}, head {head}') == 2
  assert text.count('aria-label="alignment of') == 2 * (1 + 4)


def test_it_lies_in_the_workdir(model, tmp_path):
  path = attention_page.write(model._replace(workdir=str(tmp_path)), LINES)
  assert path == tmp_path / 'attention.html'


def test_what_cannot_be_shown(model, tmp_path):
  with pytest.raises(UserError, match='does not end in .html'):
    attention_page.write(model, LINES, str(tmp_path / 'page.txt'))
  with pytest.raises(UserError, match='no line could be translated'):
    attention_page.write(model, ['', ' '], str(tmp_path / 'page.html'))
  plain = translators.trained(translators.RNN)
  with pytest.raises(UserError, match='no attention to look at'):
    attention_page.write(plain, LINES, str(tmp_path / 'page.html'))
  assert not list(tmp_path.iterdir())
