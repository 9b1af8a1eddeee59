"""What tools write of how they made a file: one dialect a family, whatever the container that carries its words.

Each sees `memoryd.plugin_api` and nothing else of the server. A value that only stands for "nothing" (-1, an empty text,
"None") is unknown, and a text that could be anybody's is nobody's: a miss is better than a wrong value.
"""
