"""What the command line prints: tables, errors, one network."""
