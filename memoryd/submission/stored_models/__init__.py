"""The model store over HTTP: pushed and pulled by people, fetched by workers for jobs that pin it, kept within its limit."""
