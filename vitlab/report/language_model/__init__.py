"""The parts of a page about language models; see `vitlab.report.drawers`."""

from vitlab.report.language_model.attention_page import attention
from vitlab.report.language_model.collected import collect, glimpse
from vitlab.report.language_model.sections import compared, parts

__all__ = ['SCRIPTS', 'attention', 'collect', 'compared', 'glimpse', 'parts']

SCRIPTS = ('places.js', 'glances.js')
