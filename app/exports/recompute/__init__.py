"""The scripts that travel in a paper bundle and compute its numbers again. They import nothing of Tunebook."""
