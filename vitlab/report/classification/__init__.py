"""The parts of a page about classifiers of images."""
