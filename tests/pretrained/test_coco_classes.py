"""COCO's classes stand where detectors that were published with them have them."""

import json

import pytest
from _helpers.real_data import ROOT

from vitlab.pretrained import coco_classes


def test_as_torchvision_detr_and_yolox_count_them():
  by_number = {count: coco_classes.names(count) for count in (80, 90, 91)}
  assert {count: len(names) for count, names in by_number.items()} == {80: 80, 90: 90, 91: 91}
  # torchvision's label 1 is our class 0; DETR's logit 1 is 'person'; id 90 is the last everywhere.
  assert by_number[80][0] == by_number[90][0] == by_number[91][1] == 'person'
  assert {names[-1] for names in by_number.values()} == {'toothbrush'}
  assert by_number[90][11] == by_number[91][12] == 'id 12'
  assert [coco_classes.ids(count)[11] for count in (80, 90, 91)] == [13, 12, 11]
  assert all(len(set(names)) == len(names) for names in by_number.values())
  assert coco_classes.ids(20) == coco_classes.names(20) == ()


@pytest.mark.data
def test_as_the_file_has_them():
  content = json.loads((ROOT / 'coco_tiny' / 'instances_val2017.json').read_text())
  known = {one['id']: one['name'] for one in content['categories']}
  assert dict(zip(coco_classes.IDS, coco_classes.NAMES)) == known
