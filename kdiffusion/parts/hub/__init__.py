"""Models on the Hugging Face Hub: publishing them, and opening them as `hf://owner/name`."""
