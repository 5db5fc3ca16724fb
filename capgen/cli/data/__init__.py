"""The verbs that bring datasets in and out."""
