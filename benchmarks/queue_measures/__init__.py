"""What `benchmarks/dispatch.py` measures, one file per question, and the places it measures in."""
