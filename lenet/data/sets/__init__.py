"""The data sets, one family per file."""
