"""The editor's graphs: what was drawn on the canvas, converted into the prompt that ComfyUI's frontend would have sent.

Promises: whatever is in the bytes, the answer is a graph or a finding; what was guessed is said.
"""
