"""From committed candidates to a verified release."""
