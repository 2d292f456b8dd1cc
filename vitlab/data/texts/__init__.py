"""Plain text: read in blocks, cut into documents, encoded once, and dealt out in rows."""
