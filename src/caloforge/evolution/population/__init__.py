"""Many networks of one shape in one pass: rows of a batch are individuals times showers."""
