"""The parts of a page about permutation language models: those of masked ones, whose evaluator they
share."""

from vitlab import registry

_masked_lm = registry.module('report', 'masked_lm')
parts, compared = _masked_lm.parts, _masked_lm.compared
