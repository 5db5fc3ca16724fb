"""Several machines made of this one's namespaces, and what runs on them."""
