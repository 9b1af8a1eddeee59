"""The agent on a GPU machine: speaks HTTP to the server and to its ComfyUI, holds no password and no key."""
