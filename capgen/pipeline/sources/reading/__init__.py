"""What the sources share: JSON sections, joins of annotations to media, safe names, files of pictures, masks."""
