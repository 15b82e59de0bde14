"""The question a study asks: its file's schema, and every settings class and table, all of it free of torch."""
