"""Raw data to cases, one file per kind of dataset; the file name is the name in a study."""
