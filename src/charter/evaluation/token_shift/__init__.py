"""What alignment changed, token by token."""
