"""Who may do what on the brokers: derived from the pipeline's declaration, written there, and compared."""
