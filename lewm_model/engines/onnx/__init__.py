"""The graphs as ONNX files, and the runtimes that run them on a CPU."""
