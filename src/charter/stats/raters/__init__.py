"""What raters are worth, what they agree on, and how many are needed. Free of torch."""
