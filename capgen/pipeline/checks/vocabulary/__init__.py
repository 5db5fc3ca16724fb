"""What several checks know of words: phrases, quotations, scripts, and units of length."""
