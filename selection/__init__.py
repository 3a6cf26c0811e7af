"""The method: corpus, text, embeddings, clusters, scores, sample, weights, subset and manifest."""
