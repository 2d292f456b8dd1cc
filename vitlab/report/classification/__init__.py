"""The parts of a page about classifiers of images; see `vitlab.report.drawers`."""

from vitlab.report.classification.attention_page import attention
from vitlab.report.classification.pictures import collect
from vitlab.report.classification.sections import compared, parts

__all__ = ['SCRIPTS', 'attention', 'collect', 'compared', 'parts']

SCRIPTS = ('../matrix.js', '../heat.js', 'attention.js', 'distance.js')
