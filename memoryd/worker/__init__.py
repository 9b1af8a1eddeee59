"""The agent on a GPU machine: speaks HTTP to the server and to its ComfyUI, holds no password and no key of the server.

Promises: a finished result is on this machine's disk until the server has it or refuses it; only its own runs are ever
interrupted; nothing it reports rests on what a file says about itself; a drain loses nothing.
"""
