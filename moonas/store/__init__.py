"""The study database: tables in, frozen records out. Only the loop that holds a study's lease writes to it."""
