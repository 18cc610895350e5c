"""All generators of one detector side by side: quality against time, and which of them to take."""
