"""The models one can launch, at /models: baselines, what this machine trains, and Hugging Face folders."""
