"""What the workers, the cells and the cluster share."""
