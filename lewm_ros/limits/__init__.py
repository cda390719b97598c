"""What a robot may be told: limiter, standstill, position limits. Pure, no rclpy."""
