"""What commands print with: nothing that others wrote steers a terminal."""
