"""The labelling web app: one process, one SQLite file, a page that is used by keyboard."""
