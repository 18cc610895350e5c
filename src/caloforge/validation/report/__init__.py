"""The report: its page, its JSON, and figures as files."""
