"""What the robots of the zoo are, as plain data, and their robot files. No rclpy."""
