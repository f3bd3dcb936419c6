"""Every Kafka and registry client is made here, with its settings said once; topics are read to their end here."""
