"""Archives of raw data: fetched, verified, unpacked."""
