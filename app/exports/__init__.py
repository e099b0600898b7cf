"""What leaves Tunebook: weights, cards, packages, pushes. Makes Export rows and, in the worker, their files."""
