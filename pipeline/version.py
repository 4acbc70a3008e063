"""The version that files and sessions name as their author."""

VERSION = "0.1.0"
