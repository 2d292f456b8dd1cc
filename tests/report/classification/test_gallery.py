"""What a model looks at, as parts of a page."""

import numpy as np
import pytest
from _helpers import workdirs
from _helpers.html_pages import Page

from vitlab.report.classification import gallery
from vitlab.report.classification.pictures import Pictures

NAMES = [f'<{i}>' for i in range(10)]


def part(title, pictures):
  return next(one for one in gallery.parts(pictures, NAMES) if one.title == title)


def test_evidence_has_the_image_and_what_lies_over_it():
  pictures = workdirs.pictures(count=3)
  page = Page(part('Evidence', pictures).body)
  assert page.tags.count('img') == 12
  for words in ('rollout', 'saliency', 'occlusion', '<0> → <1>'):
    assert words in page.text
  named = pictures._replace(attended=[pictures.attended[0]._replace(name='cat.png')])
  assert 'cat.png' in Page(part('Evidence', named).body).text


def test_an_unknown_label_is_no_mistake():
  one = workdirs.pictures(count=1).attended[0]._replace(label=-1)
  words = gallery.verdict(one, NAMES)
  assert '→' not in words and 'wrong' not in words and '&lt;1&gt;' in words


def test_a_model_without_attention_shows_its_cross_checks_alone():
  pictures = workdirs.pictures(count=2, depth=0)
  assert Page(part('Evidence', pictures).body).tags.count('img') == 6
  assert 'Rollout' not in part('Evidence', pictures).note
  for title in ('Attention', 'Attention distance', 'Windows', 'Position bias'):
    assert not part(title, pictures).body and part(title, pictures).note


@pytest.mark.parametrize('pictures', [None, Pictures()])
def test_without_pictures_every_part_has_a_reason(pictures):
  assert all(one.note and not one.body for one in gallery.parts(pictures, NAMES))


def test_the_explorer_says_who_looks():
  (data,) = Page(part('Attention', workdirs.pictures()).body).figures['attention']
  assert data['reads'] == 'the class token' and len(data['images']) == 6
  (data,) = Page(part('Attention', workdirs.pictures(window=2)).body).figures['attention']
  assert data['reads'] == 'the average patch'


def test_windows_are_drawn_in_place_and_shifted():
  body = part('Windows', workdirs.pictures(grid=4, window=2, depth=6)).body
  assert 'layer 1: 4 × 4, in place' in body and 'layer 2: 4 × 4, shifted by 1' in body
  assert body.count('<figure>') == 2
  assert 'd="M0 2H4M2 0V4"' in body
  assert 'd="M0 1H4M0 3H4M1 0V4M3 0V4"' in body


def test_every_head_has_a_picture_of_its_bias():
  pictures = workdirs.pictures(window=2, depth=2, heads=3)
  section = part('Position bias', pictures)
  assert Page(section.body).tags.count('img') == 6
  # A constant is no bias.
  shifted = {name: table + 7 for name, table in pictures.biases.items()}
  assert gallery.biases(shifted).body == section.body
  flat = gallery.biases({'layer 1': np.full((1, 3, 3), 7.0)}).body
  assert '± 0' in flat
