"""What the planner decides, one camera frame at a time. No rclpy; time comes in."""
