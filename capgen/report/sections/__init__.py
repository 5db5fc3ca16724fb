"""What a report says, in sentences, tables and plots, from its figures."""
