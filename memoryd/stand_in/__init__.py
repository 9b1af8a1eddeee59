"""A small engine that speaks ComfyUI's protocol, for the demo, tests and first steps without a GPU.

It says what it is in /system_stats, and what it paints is never disclosed as made by a trained model. The model-free core
nodes give the pixels, and the files the bytes, that a ComfyUI 0.29 gives; pictures of samplers are painted by a recipe
of our own. Behaviour follows observation of the protocol, none of ComfyUI's code is here.
"""
