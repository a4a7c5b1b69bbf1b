"""The data sets, a family in each file."""
