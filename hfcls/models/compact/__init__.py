"""Cheaper forms of a model: ONNX, and fewer bits a weight."""
