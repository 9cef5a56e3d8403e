"""Running the pipeline otherwise than one stage after the other: workers, other machines, a cluster."""
