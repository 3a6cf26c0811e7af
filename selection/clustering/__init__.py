"""k-means over a stream of embeddings, and the corpus that is clustered by it."""
