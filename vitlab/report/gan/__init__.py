"""The parts of a page about generators of pictures; see `vitlab.report.drawers`."""

from vitlab.report.gan.collected import collect
from vitlab.report.gan.sections import compared, parts

__all__ = ['collect', 'compared', 'parts']
