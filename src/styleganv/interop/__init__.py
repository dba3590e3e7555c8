"""Exchange of models: official checkpoints, ONNX and exported programs, the Hugging Face Hub."""
