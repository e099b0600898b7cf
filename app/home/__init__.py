"""The first page: what runs, what is newest, what needs a person."""
