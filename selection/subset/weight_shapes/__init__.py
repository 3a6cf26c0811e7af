"""`--weights-as`: how the subset holds the weights, one file a shape."""
