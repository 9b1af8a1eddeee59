"""Making the picture of a bundle again on a bare ComfyUI. This package lies in every bundle, beside run.py.

Python 3.8 or newer and its standard library alone: nothing of memoryd, nothing of a bundle, is imported. Pillow is used where
it happens to be there.
"""
