"""placeholder"""
def write_report(*a, **k): return "none"
def write_summary(*a, **k): return "none"
