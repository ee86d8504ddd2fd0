"""The published architectures, one per file; the file name is the name in a study."""
