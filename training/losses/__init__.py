"""The objectives of the families, one module each; all are functions of tensors."""
