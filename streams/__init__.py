"""The stream processors: from case events to escalations on Kafka."""
