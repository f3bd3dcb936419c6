"""Prometheus and Alertmanager: configuration, recording rules, alerts with their tests, and how targets are found."""
