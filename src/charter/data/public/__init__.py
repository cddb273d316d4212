"""The field's public preference sets, by schema: rows as labels of people, and as data to train on."""
