"""A study as one file: a zip of JSON and safetensors that another database takes in."""
