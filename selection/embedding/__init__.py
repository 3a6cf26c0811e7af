"""The embeddings of a corpus: made by an encoder, kept in the work folder, found again by content."""
