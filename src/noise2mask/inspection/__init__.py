"""What a dataset looks like before anything is trained on it: measures, duplicates, findings."""
