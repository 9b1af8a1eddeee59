"""Licences over HTTP: the terms that count in a tenant, what people change of them, and what grants one to a model."""
