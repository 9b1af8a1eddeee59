"""The AI bill of materials: which models, inputs and programs an asset, a workflow or a project is made of (CycloneDX).

Promises: what is unknown is told as unknown, never left out; no prompt and no person is in it; it validates against its
schema.
"""
