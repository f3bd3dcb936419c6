"""Pure clinical rules: no I/O, no Kafka, no clock of its own."""
