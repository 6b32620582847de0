"""Descriptions of many images in parts: from a manifest to Parquet files, and what reads them."""
