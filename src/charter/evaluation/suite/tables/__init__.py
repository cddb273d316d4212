"""What all tests together show."""
