"""The claim-check store of pictures, and what is removed from a picture before it is stored."""
