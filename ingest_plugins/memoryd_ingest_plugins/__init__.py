"""File formats that memoryd reads. Each sees `memoryd.plugin_api` and nothing else of the server."""
