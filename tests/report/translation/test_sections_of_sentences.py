"""The parts of a page about sentences."""

import numpy as np
from _helpers.html_pages import Page

from vitlab import workdir
from vitlab.report import comparison, page, sections
from vitlab.report.run import Run
from vitlab.report.translation import sections as sections_lib

CONFIG = {'task': {'name': 'translation'}}
VOCABULARY = ['<pad>', '<s>', '</s>', '<unk>', 'le', '<chat>', 'dort']
DETAILS = dict(
  length=np.array([2, 5]),
  length_accuracy=np.array([1.0, 0.25]),
  length_count=np.array([3, 4]),
  examples_index=np.arange(3),
  examples_tokens=np.array([[4, 5, 2, 0], [6, 2, 0, 0], [4, 6, 2, 0]]),
  examples_targets=np.array([[5, 4, 2], [6, 2, 0], [6, 4, 2]]),
  examples_decoded=np.array([[5, 6, 2, 0], [6, 2, 0, 0], [6, 2, 0, 0]]),
)
ATTENTION = dict(attention=np.full((3, 2, 1, 3, 4), 0.25, np.float16))


def run(name='seq', **more):
  return Run(name, CONFIG, [], {}, {'vocabulary': VOCABULARY}, {'test': DETAILS | more})


def part(one, title):
  return next(part for part in sections.one(one, None) if part.title == title)


def test_a_run_of_sentences_has_the_parts_of_sentences():
  titles = [one.title for one in sections.one(run(**ATTENTION), None)]
  parts = ['Accuracy by length', 'Examples', 'Alignment']
  assert titles == ['Results', 'Curves', *parts, 'Config', 'Provenance']
  assert all(part(run(**ATTENTION), title).body for title in parts)


def test_examples_show_what_is_not_as_in_the_target():
  body = part(run(), 'Examples').body
  assert '<dt>source</dt><dd>le &lt;chat&gt;</dd>' in body
  assert '<dt>said</dt><dd>&lt;chat&gt; <b class="wrong">dort</b></dd>' in body
  assert '<dt>said</dt><dd>dort</dd>' in body  # right
  assert '<dt>said</dt><dd>dort <b class="wrong">…</b></dd>' in body  # ends too early


def test_an_alignment_has_a_square_for_every_pair_of_words():
  body = part(run(**ATTENTION), 'Alignment').body
  assert body.count('<svg') == 3
  assert body.count('class="weight"') == 3 * 3 + 2 * 2 + 3 * 3
  assert 'fill-opacity="0.29"' in body and '<title>25 %</title>' in body
  assert '&lt;chat&gt;' in body and '<chat>' not in body


def test_pieces_that_cannot_be_seen_are_written_out():
  vocabulary = [*VOCABULARY[:4], '\n', '<b>', '\x1b[31m']
  details = {'test': DETAILS | ATTENTION}
  body = part(Run('seq', CONFIG, [], {}, {'vocabulary': vocabulary}, details), 'Alignment').body
  assert r'>\n</text>' in body and r'>\x1b[31m</text>' in body and '>&lt;b&gt;</text>' in body
  assert body.isprintable()


def test_what_is_not_there_says_so():
  empty = Run('empty', CONFIG, [], {}, {'vocabulary': VOCABULARY}, {})
  for one in sections_lib.parts(empty):
    assert not one.body and one.note
  assert 'no attention' in part(run(), 'Alignment').note


def test_lengths_of_several_runs_are_in_one_figure():
  parts = comparison.several([run('plain'), run('attentive', length=np.array([2, 6]))])
  body = next(one for one in parts if one.title == 'Accuracy by length').body
  (data,) = Page(body).figures['lengths']
  assert data['kind'] == 'accuracy' and data['width'] == 1
  assert [one['name'] for one in data['models']] == ['plain', 'attentive']
  assert data['models'][0]['points'] == [[2, 1.0, 3], [5, 0.25, 4]]


def test_of_text_bleu_is_drawn():
  bleu = dict(
    bleu_length=np.array([5, 10]), length_bleu=np.array([50.0, 30.0]), bleu_count=np.array([3, 9])
  )
  bleu['signatures'] = np.array(['BLEU|tok:13a', 'chrF2|nc:6'])
  parts = comparison.several([run('plain', **bleu), run('attentive', **bleu)])
  section = next(one for one in parts if one.title == 'BLEU by length')
  body = section.body
  assert section.note.count('tok:13a') == 1 and 'chrF2' in section.note
  (data,) = Page(body).figures['lengths']
  assert data['kind'] == 'bleu' and data['width'] == 5
  assert data['models'][1]['points'] == [[5, 50.0, 3], [10, 30.0, 9]]


def test_pieces_are_read_as_words():
  vocabulary = ['<pad>', '<s>', '</s>', '<unk>', '▁le', '▁ch', 'at', 's', '▁', '<0xE9>']
  facts = {'vocabulary': vocabulary}
  details = DETAILS | dict(
    examples_targets=np.array([[4, 5, 6, 2]]),
    examples_decoded=np.array([[4, 5, 6, 7, 2]]),
    examples_tokens=np.array([[4, 5, 2, 0]]),
  )
  body = part(Run('text', CONFIG, [], {}, facts, {'test': details}), 'Examples').body
  assert '<dt>target</dt><dd>le chat</dd>' in body
  assert '<dt>said</dt><dd>le <b class="wrong">chats</b></dd>' in body


def test_a_word_too_many_does_not_spoil_what_follows():
  details = dict(examples_decoded=np.array([[6, 5, 4, 2]] * 3))
  body = part(run(**details), 'Examples').body
  assert '<dt>said</dt><dd><b class="wrong">dort</b> &lt;chat&gt; le</dd>' in body


def test_no_pictures_are_looked_for(tmp_path, caplog):
  folder = tmp_path / 'seq'
  folder.mkdir()
  workdir.write_json(folder / workdir.CONFIG, CONFIG)
  workdir.write_json(folder / workdir.FACTS, {'vocabulary': VOCABULARY})
  workdir.write_details(folder, 'test', DETAILS)
  text = page.report([folder]).read_text()
  assert '<h2>Accuracy by length' in text and '<h2>Mistakes' not in text
  assert not caplog.records


def test_a_token_outside_the_vocabulary_shows_as_its_number():
  details = dict(examples_decoded=np.array([[9, 2, 0, 0]] * 3))
  assert '#9' in part(run(**details), 'Examples').body


def test_text_that_was_kept_is_shown_and_not_its_pieces():
  text = dict(
    examples_text=np.array([['le chat', 'the łódź', 'the cat'], ['<a>', '猫が寝る', '猫は寝る']])
  )
  body = part(run(**text), 'Examples').body
  assert '<dt>target</dt><dd>the łódź</dd>' in body and body.count('<li>') == 2
  assert '<dt>said</dt><dd>the <b class="wrong">cat</b></dd>' in body
  assert '<dt>source</dt><dd>&lt;a&gt;</dd>' in body
  assert '<dt>said</dt><dd>猫<b class="wrong">は</b>寝る</dd>' in body  # without spaces, by letters
