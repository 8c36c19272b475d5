"""The built-in models, one family a file, in their CIFAR form: for any image size, number of channels and classes."""
