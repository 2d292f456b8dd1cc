"""Names and sizes of each family: other people's weights, and what is odd about them."""
