"""Small networks on the latents of a model that stays as it is; a bundle may have any of them."""
