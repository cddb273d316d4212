"""The alignment tax: what a model could do before alignment and cannot do after it."""
