"""The parts of a page about detectors of objects; see `vitlab.report.drawers`."""

from vitlab.report.detection.attention_page import attention
from vitlab.report.detection.collected import collect
from vitlab.report.detection.sections import compared, parts

__all__ = ['SCRIPTS', 'attention', 'collect', 'compared', 'parts']

SCRIPTS = ('../matrix.js', '../heat.js', 'boxes.js', 'precision.js', 'queries.js')
