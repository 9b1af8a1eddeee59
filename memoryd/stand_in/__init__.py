"""A small engine that speaks ComfyUI's protocol, for the demo, tests and first steps without a GPU.

It says what it is in /system_stats, and what it paints is never disclosed as made by a trained model.
"""
