#!/usr/bin/env bash
# Make the keys and signed permissions of a system, one enclave for each node, with sros2.
#
#   tools/make_keys.sh KEYSTORE [options of the system, such as --robot my_robot.yaml --namespace left]
#
# KEYSTORE is a folder; running this again adds what is missing and writes all permissions anew.
# Whoever has KEYSTORE/private can make keys for any node: keep it off the robot (docs/security.md).
set -euo pipefail

keystore=${1:?usage: tools/make_keys.sh KEYSTORE [options of the system]}
shift

if ! command -v ros2 > /dev/null || ! ros2 security --help > /dev/null 2>&1; then
  echo "make_keys: 'ros2 security' is not there; it is the package sros2 of a ROS distribution:" \
       "sudo apt install ros-${ROS_DISTRO:-DISTRO}-sros2" >&2
  exit 1
fi

policies=$(mktemp --suffix .xml)
trap 'rm -f "$policies"' EXIT
"${PYTHON:-python3}" -m lewm_ros.startup.policies "$@" > "$policies"

ros2 security generate_artifacts -k "$keystore" -p "$policies"

cat << END
keys for: $(grep -o 'enclave path="[^"]*"' "$policies" | cut -d'"' -f2 | tr '\n' ' ')
They count for ROS_DOMAIN_ID ${ROS_DOMAIN_ID:-0}. In every terminal, before anything starts:
  export ROS_SECURITY_KEYSTORE=$(realpath "$keystore") ROS_SECURITY_ENABLE=true ROS_SECURITY_STRATEGY=Enforce
and in those of people, tools and drivers also one of
  export ROS_SECURITY_ENCLAVE_OVERRIDE=/operator   # or /watcher, /robot, below the namespace
END
