"""ComfyUI's protocol: requests, answers, frames, node specifications. Knows no database.

Promises: integers are exact both ways (seeds reach 2^64-1), texts are sent as they were given, and every failure is an
error that says what to do next. Source of all behaviour: observed on ComfyUI 0.29.0, compared with 0.3.64.
"""
