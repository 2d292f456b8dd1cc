"""An unknown name brings the near ones first, and all that exist; long lists are cut."""

import numpy as np

from vitlab.errors import listed, unknown


def test_near_names_come_first():
  message = str(unknown('optimizer', 'adamv', ['sgd', 'adamw', 'lion']))
  assert message == "unknown optimizer 'adamv': did you mean adamw? possible are adamw, lion, sgd"


def test_without_near_names_all_are_listed():
  assert str(unknown('chip', 'zzz', ['b', 'a'])) == "unknown chip 'zzz': possible are a, b"


def test_the_first_of_a_long_list_are_shown():
  assert listed(['a', np.str_('b'), 3]) == "'a', 'b', 3" and listed([]) == ''
  assert listed(list(range(1234)), 2) == '0, 1 and 1,232 more'
