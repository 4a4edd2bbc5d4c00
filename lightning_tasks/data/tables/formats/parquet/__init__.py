"""Parquet of Hugging Face data sets."""
