"""Parquet files that anybody may have made."""
