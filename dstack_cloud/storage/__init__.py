"""The stores: S3, GCS, or a local folder."""
