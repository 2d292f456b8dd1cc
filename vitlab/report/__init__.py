"""Pictures of a run: curves, attention maps, mistakes, and the page that holds them."""
