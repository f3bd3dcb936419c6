"""`vigia demo`: the main job on real services, from generated pictures to escalations, checked to the last input."""
