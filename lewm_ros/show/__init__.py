"""What people look at: imagination as pictures, paths and curves. May die without harm."""
