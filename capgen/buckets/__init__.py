"""Objects in a bucket (``s3://``, ``gs://``, ``az://`` or any other URL of fsspec) and their copies on this machine."""
