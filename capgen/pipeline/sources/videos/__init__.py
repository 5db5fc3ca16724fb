"""Sources whose media are videos, as folders of frames or as files."""
