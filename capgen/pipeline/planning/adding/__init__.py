"""What is added to a run that is there: objects beyond its limit, media that are new in its dataset."""
