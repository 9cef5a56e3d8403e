"""``params.yaml`` as strict, frozen, typed sections."""
