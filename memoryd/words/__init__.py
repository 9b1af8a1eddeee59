"""Texts into search words: one tokeniser for documents and queries. Knows no database."""
