"""What can be set: every option, its checks, and where its value comes from."""
