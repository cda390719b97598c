"""Planning in latent space: objectives, solvers, history and the receding-horizon policy."""
