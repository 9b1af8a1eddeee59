"""Bundles: all that making an asset again takes, in one signed file that needs no memoryd, no server and no network.

Promises: what is in one is covered by its signature; what nobody knows is named in it; a bundle from elsewhere is checked
whole before anything of it is used, and no program that lies in one is ever run here.
"""
