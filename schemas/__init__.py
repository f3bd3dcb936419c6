"""The contract: Avro schemas, typed events, wire format, deterministic ids."""
