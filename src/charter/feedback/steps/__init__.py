"""Labels of reasoning steps without people."""
