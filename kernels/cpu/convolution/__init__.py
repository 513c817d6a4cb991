"""The algorithms of convolution, each with the ReLU, the pooling and the gradients around it."""
