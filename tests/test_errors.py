"""An unknown name brings the near ones first, and all that exist."""

from vitlab.errors import unknown


def test_near_names_come_first():
  message = str(unknown('optimizer', 'adamv', ['sgd', 'adamw', 'lion']))
  assert message == "unknown optimizer 'adamv': did you mean adamw? possible are adamw, lion, sgd"


def test_without_near_names_all_are_listed():
  assert str(unknown('chip', 'zzz', ['b', 'a'])) == "unknown chip 'zzz': possible are a, b"
