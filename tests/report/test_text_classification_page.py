"""The page of a classifier of texts: what it takes for what, and its mistakes as texts."""

import numpy as np
from _helpers import workdirs
from _helpers.html_pages import Page

from vitlab.report import page, sections, text_classification
from vitlab.report.mistakes import Mistake
from vitlab.report.run import Run
from vitlab.report.text_classification import Wrong

CONFIG = {'task': {'name': 'text_classification'}}
FACTS = {'class_names': ['bad', '<good>']}
SEEN = [
  Wrong(['not <b>bad</b>', 'at all'], Mistake(3, 1, 0, 0.875)),
  Wrong(['x' * 700], Mistake(5, 0, -1, 0.5)),
]


def run(**details):
  return Run('texts', CONFIG, [], {}, FACTS, details)


def test_a_page_has_the_matrix_and_the_mistakes():
  found = run(test=workdirs.details(classes=2, examples=40))
  read = Page(page.build([found], [SEEN]))
  assert (
    read.figures['confusion'][0]['names'] == ['bad', '<good>'] and 'calibration' in read.figures
  )
  assert '<good> → bad 87.5 %' in ' '.join(read.text.split()).replace('bad87', 'bad 87')
  assert 'not <b>bad</b>' in read.text and 'at all' in read.text
  assert 'bad → NaN' in ' '.join(read.text.split())
  assert 'x' * 600 + ' …' in read.text and 'x' * 601 not in read.text


def test_what_is_not_there_says_so():
  titles = {part.title: part for part in sections.one(run())}
  for title in ('Confusion', 'Classes', 'Calibration', 'Mistakes'):
    assert not titles[title].body and titles[title].note
  assert text_classification.parts(run(), [])[-1].note == 'the model made none'


class Rows:
  def __len__(self):
    return 9

  def __getitem__(self, index):
    return dict(tokens=np.array([index, 1]))


def test_a_text_is_as_it_was_written_or_its_tokens():
  class Words:
    def decode(self, tokens):
      return ' '.join(map(str, tokens))

  class Written(Rows):
    def text(self, index):
      return dict(text=f'A {index}', pair='b')

  assert text_classification._text(Written(), 4, Words()) == ['A 4', 'b']
  assert text_classification._text(Rows(), 4, Words()) == ['4 1']
  assert text_classification._text(Rows(), 4, None) == ['text 4']
