"""One file for each section of the page: what it holds, how it is read, and its words."""
