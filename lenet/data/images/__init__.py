"""Image files, and how handwriting is prepared."""
