"""What needs an NVIDIA GPU: TensorRT and CUDA graphs."""
