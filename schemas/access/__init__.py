"""How a broker or a registry is reached: its address with the settings that go with it, secrets, TLS, tokens."""
