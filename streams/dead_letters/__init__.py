"""What no stage could process: found, shown, and sent again."""
