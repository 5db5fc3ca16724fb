"""What made the packaged weights, and the claims of the paper tried out."""
