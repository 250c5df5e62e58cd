"""What validations and tests leave in files. Importing it loads neither torch nor basicsr, so reports need not wait."""
