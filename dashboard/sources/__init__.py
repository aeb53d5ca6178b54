"""Results to show: models, folders, tables and uploads, and how a visitor chooses them."""
