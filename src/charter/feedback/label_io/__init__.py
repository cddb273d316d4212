"""Labels that come from elsewhere and go elsewhere: import, check, merge, count, export."""
