"""What lies in a study's folders: whether records prove it, what is kept, removed and versioned."""
