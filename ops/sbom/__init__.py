"""The software bill of materials: every wheel, jar and image of which a running system is made."""
