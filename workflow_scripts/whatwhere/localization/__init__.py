"""Where neurons look, by inference: locations, starts for networks, and relocation during training."""
