"""What compose.kafka.yml mounts into its containers, and the two small programs that its image needs."""
