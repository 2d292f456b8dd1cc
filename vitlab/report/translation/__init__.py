"""The parts of a page about translators of sentences; see `vitlab.report.drawers`."""

from vitlab.report.translation.attention_page import attention
from vitlab.report.translation.sections import compared, parts

__all__ = ['SCRIPTS', 'attention', 'compared', 'parts']

SCRIPTS = ('lengths.js',)
