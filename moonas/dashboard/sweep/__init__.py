"""A study file as a form and as text, kept in step: the text is what counts, the form shows it and changes single parts of it.

asked.py says what the form asks, entries.py how a value is written in a field, edits.py what a field changes in the text. form.py
draws, verdict.py judges a text, beginnings.py gives texts to begin with, plan.py shows what a study would do.
"""
