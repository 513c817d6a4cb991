"""The algorithms of convolution, each with the ReLU, the pooling and the gradients that stand around it."""
