"""The broken functions of the course's bug hunts, as their pages show them, one file per chapter."""
