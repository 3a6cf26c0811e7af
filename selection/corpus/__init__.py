"""What comes in: files, records, texts."""
