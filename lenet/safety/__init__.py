"""What comes out of a stranger's hands, and is looked at before it is used."""
