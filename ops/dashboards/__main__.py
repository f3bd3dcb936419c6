"""`python -m ops.dashboards` writes the JSON of every dashboard."""

from ops.dashboards.generate import write_all

if __name__ == "__main__":
    write_all()
