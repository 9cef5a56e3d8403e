"""SAM: official and compact, its prompts, its fine-tuning and its files."""
