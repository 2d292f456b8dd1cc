"""Names of a ResNet below a module: those of detectors' backbones."""

from vitlab.pretrained.families import _resnet_names as names
from vitlab.pretrained.tables import lookup


def test_below_a_module_of_ours_and_of_theirs():
  table = names.table('timm', 'backbone/', 'backbone.body.')
  paths = {
    'params/backbone/stem/conv/kernel': 'backbone.body.conv1.weight',
    'frozen/backbone/stage_0/block_1/norm2/var': 'backbone.body.layer1.1.bn2.running_var',
  }
  for path, theirs in paths.items():
    assert tuple(map(names.counted_from_1, lookup(table, path))) == (theirs,)
  assert lookup(table, 'params/stem/conv/kernel') == ()


def test_only_stages_are_counted_from_1():
  assert names.counted_from_1('a.layer0.0.b.layers.0') == 'a.layer1.0.b.layers.0'
  assert names.counted_from_1('sublayer0.w') == 'sublayer0.w'
