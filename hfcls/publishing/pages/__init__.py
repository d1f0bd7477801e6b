"""A finished run as a page that opens offline."""
