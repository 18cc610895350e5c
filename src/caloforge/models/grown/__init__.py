"""A convolutional generator and critic that a list of stages describes, so that they can be changed."""
