"""What the loss curves of diffusion say about masks, images and the schedule between them."""
