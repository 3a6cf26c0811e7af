"""What goes out: records and their weights, the rows and the clusters file, the manifest."""
