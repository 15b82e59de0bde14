"""All candidates in one network."""
