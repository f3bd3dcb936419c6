"""The image model. Knows nothing of Kafka, Faust or clinical policy."""
