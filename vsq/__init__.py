"""Generator and verification suite for block-scaled vector MAC hardware."""
