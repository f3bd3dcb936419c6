"""`vigia demo`: the pipeline on real services, from generated pictures to escalations; every input is checked."""
