"""From a row of a release to the batch that the loss sees."""
