"""Grafana dashboards as code. `python -m ops.dashboards` writes the JSON beside it; a test compares.

`grafana_foundation_sdk` is the line of Grafana 11; its versions are pinned in setup.cfg (extra `dashboards`).
"""
