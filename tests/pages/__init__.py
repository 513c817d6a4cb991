"""Run the pages of the documentation as a newcomer would, and write what they print into them (``make pages``)."""
