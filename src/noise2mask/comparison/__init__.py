"""What differs between two reports, and what made it differ."""
