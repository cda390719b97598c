"""ROS 2 nodes around the latent world model; the only package that imports rclpy."""

from pkgutil import extend_path

# Run from a checkout, ./lewm_ros comes first on sys.path and would hide the generated messages,
# which live in the installed package of the same name: let both be one package.
__path__ = extend_path(__path__, __name__)
