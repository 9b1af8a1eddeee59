"""ComfyUI's protocol: requests, answers, frames, node specifications. Knows no database."""
