"""What surrounds a value on a topic: its key and partition, its headers, and the hash that audit entries name it by."""
